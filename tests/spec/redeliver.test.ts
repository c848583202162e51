/** Sending again what nobody answered: in fair turns, from one end to the other, however much it is. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createEverybody } from "../../src/lib/spec/everybody.ts";
import type { ReadyConsumer } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs } from "./specs.ts";

const log = testLogger();
const LONG_AGO = "2000-01-01T00:00:00Z";
const LATER = "2100-01-01T00:00:00Z";

/** Resources that were sent to a consumer and are due, written as fast as PostgreSQL can. */
async function pending(db: Db, consumerName: string, count: number, kind: "creates" | "deletions") {
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, deleted_at, sent_version, sent_at, attempts, next_send_at) " +
      "select id, id, 'tests', $1, 'Bundle', 1, '{}', '', " +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}', ` +
      "case when $3::boolean then now() end, 1, now(), 1, now() - interval '1 s' " +
      "from (select $1 || $4 || lpad(n::text, 7, '0') as id from generate_series(1, $2::int) n) row",
    [consumerName, count, kind === "deletions", kind === "deletions" ? "-a-" : "-b-"],
  );
}

/** A redelivery to these consumers, as long as they are in the map; what it has sent, in order. */
function open(db: Db, names: string[], connectedAt = LONG_AGO) {
  const ready = new Map<string, ReadyConsumer>();
  for (const name of names) ready.set(name, { name, connectedAt });
  const sent: string[] = [];
  const keep = (_: string, event: { extensions: Record<string, unknown> }) =>
    sent.push(String(event.extensions["resourceid"])) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 3_600_000 };
  return { ready, sent, redelivery: createSpecRedelivery(db, keep, log, options) };
}

const makeAllDue = (db: Db) =>
  query(db, "update resources set next_send_at = now() - interval '1 s'", []);

test("M7: a create is sent again though thousands of deletions of its consumer are due too", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 2_000, "deletions");
  await pending(specs.db, specs.consumer, 1, "creates");
  const { redelivery, sent } = open(specs.db, [specs.consumer]);

  await redelivery.run();

  expect(sent).toContain(`${specs.consumer}-b-0000001`);
  expect(sent.length).toBeLessThanOrEqual(51);
});

test("a backlog is sent again from end to end, even if its beginning is due again meanwhile", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 700, "creates");
  const { redelivery, sent } = open(specs.db, [specs.consumer]);

  while (await redelivery.run()) await makeAllDue(specs.db);

  expect(sent).toHaveLength(700);
  expect(new Set(sent).size).toBe(700);
});

test("what is not due is passed over in long steps, and what is due behind it found", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 1_200, "creates");
  await query(
    specs.db,
    "update resources set next_send_at = now() + interval '1 h' where id not like '%1190'",
    [],
  );
  const { redelivery, sent } = open(specs.db, [specs.consumer]);

  let runs = 1;
  while (await redelivery.run()) runs++;

  expect(sent).toEqual([`${specs.consumer}-b-0001190`]);
  expect(runs).toBe(3);
});

test("who connects in the midst of another's long walk is sent to at once", async () => {
  await using specs = await openSpecs();
  const other = await specs.addConsumer();
  await pending(specs.db, specs.consumer, 1_000, "creates");
  await pending(specs.db, other.name, 1, "creates");
  const { ready, redelivery, sent } = open(specs.db, [specs.consumer]);
  await redelivery.run();

  ready.set(other.name, { name: other.name, connectedAt: LATER });
  redelivery.hint([other.name]);
  await redelivery.run();

  expect(sent).toContain(`${other.name}-b-0000001`);
  expect(sent.length).toBeLessThan(200);
});

test("a walk waits for a consumer that can take no more, and goes on where it was", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 120, "creates");
  const { ready, redelivery, sent } = open(specs.db, [specs.consumer]);
  await redelivery.run();
  const place = ready.get(specs.consumer);

  ready.clear();
  const isMore = await redelivery.run();
  const before = [...sent];
  if (place !== undefined) ready.set(specs.consumer, place);
  await makeAllDue(specs.db);
  redelivery.hint([specs.consumer]);
  while (await redelivery.run());

  expect(isMore).toBeFalse();
  expect(before).toHaveLength(50);
  expect(new Set(sent).size).toBe(120);
  expect(sent).toHaveLength(120);
});

test("however long earlier connections were silent, a new one is sent to again within 30 s", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 1, "creates");
  await query(specs.db, "update resources set attempts = 12", []);

  await open(specs.db, [specs.consumer], LATER).redelivery.run();
  const [row] = await query<{ attempts: number; pause: number }>(
    specs.db,
    "select attempts, extract(epoch from next_send_at - sent_at)::float8 as pause from resources",
    [],
  );

  expect(row?.attempts).toBe(1);
  expect(row?.pause).toBeLessThanOrEqual(25);
});

test("two servers send again each resource once, and together all of them", async () => {
  await using specs = await openSpecs();
  await pending(specs.db, specs.consumer, 400, "creates");
  const both = [1, 2].map(() => open(specs.db, [specs.consumer]));

  await Promise.all(both.map(async ({ redelivery }) => {
    while (await redelivery.run());
  }));
  const sent = both.flatMap((one) => one.sent);

  expect(new Set(sent).size).toBe(400);
  expect(sent).toHaveLength(400);
});

test("one sweep behind a broker finds all consumers with something pending", async () => {
  await using specs = await openSpecs();
  await query(
    specs.db,
    "insert into consumers (id, name) select n, n from " +
      "(select 'many-' || to_char(generate_series(1, 1200), 'FM0000') as n) made",
    [],
  );
  await query(
    specs.db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, spec_event) " +
      "select name, name, 'tests', name, 'Bundle', 1, '{}', '', " +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}' from consumers ` +
      "where name like 'many-%'",
    [],
  );
  const options = { connectedAt: LONG_AGO, isAway: () => false, isReady: () => true };
  const everybody = createEverybody(specs.db, options);
  const sent: string[] = [];
  const redelivery = createSpecRedelivery(specs.db, (name) => sent.push(name) > 0, log, {
    sourceId: "maestro",
    ready: () => everybody,
    sweepMs: 3_600_000,
  });

  while (await redelivery.run());

  expect(new Set(sent).size).toBe(1200);
});
