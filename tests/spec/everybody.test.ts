/** Sending to consumers behind a broker, which does not say who is connected. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createEverybody } from "../../src/lib/spec/everybody.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "./specs.ts";

const log = testLogger();
const sourceId = "maestro";

function everybody(
  { db }: Specs,
  { away = [], full = [], connectedAt = "2000-01-01T00:00:00Z" }: {
    away?: string[];
    full?: string[];
    connectedAt?: string;
  } = {},
) {
  return createEverybody(db, {
    connectedAt,
    isAway: (name) => away.includes(name),
    isReady: (name) => !full.includes(name),
  });
}

/** Runs turns until there is nothing to do; the consumers that were sent to, in order. */
async function publishAll(specs: Specs, ready: ReturnType<typeof everybody>): Promise<string[]> {
  const sent: string[] = [];
  const keep = (consumerName: string) => sent.push(consumerName) > 0;
  const options = { sourceId, ready: () => ready, sweepMs: 5_000 };
  const publisher = createSpecPublisher(specs.db, keep, log, options);
  while (await publisher.run());
  return sent;
}

async function redeliver(specs: Specs, ready: ReturnType<typeof everybody>): Promise<string[]> {
  const sent: string[] = [];
  const keep = (consumerName: string) => sent.push(consumerName) > 0;
  const options = { sourceId, ready: () => ready, sweepMs: 5_000 };
  await createSpecRedelivery(specs.db, keep, log, options).run();
  return sent;
}

test("whoever has something waiting is sent to, though nobody said that it is there", async () => {
  await using specs = await openSpecs();
  const other = await specs.addConsumer();
  await specs.create();
  await specs.create({ consumerName: other.name });

  const sent = await publishAll(specs, everybody(specs));

  expect(sent.toSorted()).toEqual([specs.consumer, other.name].toSorted());
});

test("more consumers than one look-up finds all get their turn", async () => {
  await using specs = await openSpecs();
  await query(
    specs.db,
    "insert into consumers (id, name) select n, n from " +
      "(select 'many-' || to_char(generate_series(1, 1200), 'FM0000') as n) made",
    [],
  );
  await query(
    specs.db,
    "with made as (insert into resources (id, name, source, consumer_name, type, version, spec, " +
      "spec_hash, spec_event) select name, name, 'tests', name, 'Bundle', 1, '{}', '', " +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}' from consumers ` +
      "where name like 'many-%' returning id) " +
      "insert into events (resource_id, consumer_name, is_deletion) select id, id, false from made",
    [],
  );

  const ready = everybody(specs);
  const sent = [...await publishAll(specs, ready), ...await publishAll(specs, ready)];

  expect(new Set(sent).size).toBe(1200);
  expect(sent).toHaveLength(1200);
});

test("a consumer that has enough on its way waits, and does not hold up others", async () => {
  await using specs = await openSpecs();
  const other = await specs.addConsumer();
  await specs.create();
  await specs.create({ consumerName: other.name });

  const sent = await publishAll(specs, everybody(specs, { full: [specs.consumer] }));
  const later = await publishAll(specs, everybody(specs));

  expect(sent).toEqual([other.name]);
  expect(later).toEqual([specs.consumer]);
});

test("what is pending is sent again, but not to a consumer that the broker knows to be away", async () => {
  await using specs = await openSpecs();
  const other = await specs.addConsumer();
  await specs.create();
  await specs.create({ consumerName: other.name });
  await publishAll(specs, everybody(specs));
  await query(specs.db, "update resources set next_send_at = now() - interval '1 s'", []);

  const sent = await redeliver(specs, everybody(specs, { away: [specs.consumer] }));
  const early = await redeliver(specs, everybody(specs, { away: [specs.consumer] }));

  expect(sent).toEqual([other.name]);
  expect(early).toEqual([]);
});

test("what was sent before this server connected to the broker is sent again at once", async () => {
  await using specs = await openSpecs();
  await specs.create();
  await publishAll(specs, everybody(specs));

  const soon = new Date(Date.now() + 60_000).toISOString();
  const sent = await redeliver(specs, everybody(specs, { connectedAt: soon }));

  expect(sent).toEqual([specs.consumer]);
});

test("events that need no sending do not hold up those behind them", async () => {
  await using specs = await openSpecs();
  // As many as one turn takes.
  await Promise.all(Array.from({ length: 50 }, () => specs.create()));
  await query(
    specs.db,
    "update resources set sent_version = version, next_send_at = now() + interval '30 s'",
    [],
  );
  await specs.create();

  const sent = await publishAll(specs, everybody(specs));

  expect(sent).toEqual([specs.consumer]);
});
