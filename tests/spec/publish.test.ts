/** What is sent to whom, in which order, and what is sent again. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createSpecPublisher, type ReadyConsumer } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

/** Long ago, so that nothing counts as sent before the connection was made. */
const LONG_AGO = "2000-01-01T00:00:00Z";

function ready(names: string[], connectedAt = LONG_AGO): Map<string, ReadyConsumer> {
  return new Map(names.map((name) => [name, { name, connectedAt }]));
}

/** One turn of the publisher; the events that it sent. */
async function turn(
  db: Db,
  names: string[],
  hinted: string[] = [],
): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const options = { sourceId: "maestro", ready: () => ready(names), sweepMs: 5_000 };
  const publisher = createSpecPublisher(db, (_, event) => sent.push(event) > 0, log, options);
  publisher.hint(hinted);
  await publisher.run();
  return sent;
}

/** One turn of redelivery; the events that it sent. */
async function redeliver(db: Db, names: string[], connectedAt?: string): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const options = { sourceId: "maestro", ready: () => ready(names, connectedAt), sweepMs: 5_000 };
  await createSpecRedelivery(db, (_, event) => sent.push(event) > 0, log, options).run();
  return sent;
}

const ids = (events: CloudEvent[]) => events.map((event) => event.extensions["resourceid"]);
const actions = (events: CloudEvent[]) => events.map((event) => event.type.split(".").at(-1));

interface Ledger {
  version: number;
  sent_version: number;
  attempts: number;
  /** Seconds from the sending to the next. */
  pause: number;
}

async function ledger(db: Db, id: string): Promise<Ledger> {
  const [row] = await query<Ledger>(
    db,
    "select version, sent_version, attempts, " +
      "extract(epoch from next_send_at - sent_at)::float8 as pause from resources where id = $1",
    [id],
  );
  if (row === undefined) throw new Error("It is gone");
  return row;
}

const makeDue = (db: Db, id: string) =>
  query(db, "update resources set next_send_at = now() - interval '1 s' where id = $1", [id]);

/** Creates or deletions that wait for a consumer, written as fast as PostgreSQL can. */
async function backlog(
  db: Db,
  consumerName: string,
  count: number,
  kind: "creates" | "deletions" = "deletions",
): Promise<void> {
  await query(
    db,
    "with row as (select $1 || '-' || n as id from generate_series(1, $2::int) n), " +
      "stored as (insert into resources (id, name, source, consumer_name, type, version, spec, " +
      "spec_hash, spec_event, deleted_at) select id, id, 'tests', $1, 'Bundle', 1, '{}', '', " +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}', ` +
      "case when $3::boolean then now() end from row returning id) " +
      "insert into events (resource_id, consumer_name, is_deletion) " +
      "select id, $1, $3::boolean from stored",
    [consumerName, count, kind === "deletions"],
  );
}

async function consumers(db: Db, prefix: string, count: number): Promise<string[]> {
  const rows = await query<{ name: string }>(
    db,
    "insert into consumers (id, name) select $1 || n, $1 || n " +
      "from generate_series(1, $2::int) n returning name",
    [prefix, count],
  );
  return rows.map(({ name }) => name);
}

test("a create is sent once, marked in the ledger, and off the outbox", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  const first = await turn(specs.db, [specs.consumer]);
  const second = await turn(specs.db, [specs.consumer]);

  expect(ids(first)).toEqual([id]);
  expect(actions(first)).toEqual(["create_request"]);
  expect(second).toEqual([]);
  expect(await ledger(specs.db, id)).toMatchObject({ sent_version: 1, attempts: 1 });
  expect(await query(specs.db, "select 1 from events", [])).toEqual([]);
});

test("nothing is claimed for consumers that are not connected", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  const forOthers = await turn(specs.db, ["another"]);
  const hinted = await turn(specs.db, ["another"], [specs.consumer]);
  const untouched = await ledger(specs.db, id);
  const later = await turn(specs.db, [specs.consumer]);

  expect([forOthers, hinted]).toEqual([[], []]);
  expect(untouched).toMatchObject({ sent_version: 0, attempts: 0 });
  expect(ids(later)).toEqual([id]);
});

test("several changes before a turn are one event with the last state", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  await specs.acceptor.update(newUpdate(id, 2, "3"));

  const sent = await turn(specs.db, [specs.consumer]);

  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({ extensions: { resourceversion: 3 } });
  expect(sent[0]?.data).toContain('"value":"3"');
  expect(actions(sent)).toEqual(["update_request"]);
});

test("M5: what is being deleted is sent as nothing but a deletion", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  await specs.acceptor.delete({ id });
  // A stale create and update, as retrying clients send them.
  await specs.create({ id }).catch(() => {});
  await specs.acceptor.update(newUpdate(id, 1, "3")).catch(() => {});
  await specs.acceptor.update(newUpdate(id, 0, "3")).catch(() => {});

  const sent = [
    ...await turn(specs.db, [specs.consumer]),
    ...await turn(specs.db, [specs.consumer]),
    ...await redeliver(specs.db, [specs.consumer], "2100-01-01T00:00:00Z"),
  ];

  expect(actions(sent)).toEqual(["delete_request", "delete_request"]);
  for (const event of sent) expect(event.extensions["deletiontimestamp"]).toBeString();
});

test("two servers send each event once, and together all of them", async () => {
  await using specs = await openSpecs();
  const created = await Promise.all(Array.from({ length: 120 }, () => specs.create()));

  const [one, other] = await Promise.all([1, 2].map(async () => {
    const sent: CloudEvent[] = [];
    for (let round = 0; round < 8; round++) sent.push(...await turn(specs.db, [specs.consumer]));
    return sent;
  }));

  const sent = ids([...one ?? [], ...other ?? []]);
  expect(sent.toSorted()).toEqual(created.map(({ id }) => id).toSorted());
});

test("a server passes over the events that another holds in its statement", async () => {
  await using specs = await openSpecs();
  const held = await specs.create();
  const free = await specs.create();
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const other = specs.db.begin(async (tx) => {
    await tx.unsafe(`select from events where resource_id = '${held.id}' for update`);
    entered.resolve();
    await leave.promise;
  });
  await entered.promise;

  const sent = await Promise.race([turn(specs.db, [specs.consumer]), Bun.sleep(20_000)]);
  leave.resolve();
  await other;
  const afterwards = await turn(specs.db, [specs.consumer]);

  expect(ids(sent ?? [])).toEqual([free.id]);
  expect(ids(afterwards)).toEqual([held.id]);
});

test("M7: thousands of deletions for one consumer do not delay a create for another", async () => {
  await using specs = await openSpecs();
  const [busy = ""] = await consumers(specs.db, "a-busy-", 1);
  await backlog(specs.db, busy, 5_000);
  const { id } = await specs.create();

  const first = await turn(specs.db, [busy, specs.consumer]);

  expect(ids(first)).toContain(id);
  expect(first.length).toBeLessThan(200);
});

test("M7: a create does not wait for the deletions of its own consumer", async () => {
  await using specs = await openSpecs();
  await backlog(specs.db, specs.consumer, 2_000);
  const { id } = await specs.create();

  expect(ids(await turn(specs.db, [specs.consumer]))).toContain(id);
});

test("M7: a crowd of busy consumers leaves a turn to each other consumer", async () => {
  await using specs = await openSpecs();
  const busy = await consumers(specs.db, "a-busy-", 30);
  for (const name of busy) {
    await backlog(specs.db, name, 200, "creates");
  }
  const [quiet = ""] = await consumers(specs.db, "z-quiet-", 1);
  const { id } = await specs.create({ consumerName: quiet });

  const first = await turn(specs.db, [...busy, quiet]);

  expect(ids(first)).toContain(id);
});

test("a sweep finds its own consumers among thousands that others serve, or nobody", async () => {
  await using specs = await openSpecs();
  await consumers(specs.db, "a-offline-", 10_500);
  await query(
    specs.db,
    "with r as (insert into resources (id, name, source, consumer_name, type, version, spec, " +
      "spec_hash, spec_event) select name, name, 'tests', name, 'Bundle', 1, '{}', '', '{}' " +
      "from consumers where name like 'a-offline-%' returning id, consumer_name) " +
      "insert into events (resource_id, consumer_name, is_deletion) " +
      "select id, consumer_name, false from r",
    [],
  );
  const [own = ""] = await consumers(specs.db, "z-own-", 1);
  const { id } = await specs.create({ consumerName: own });

  const sent = await turn(specs.db, [own]);
  await makeDue(specs.db, id);
  const again = await redeliver(specs.db, [own]);

  expect([ids(sent), ids(again)]).toEqual([[id], [id]]);
});

test("what a resync has sent meanwhile is not sent a second time", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await query(
    specs.db,
    "update resources set sent_version = version, sent_at = now(), " +
      "next_send_at = now() + interval '30 s' where id = $1",
    [id],
  );

  expect(await turn(specs.db, [specs.consumer])).toEqual([]);
  expect(await query(specs.db, "select 1 from events", [])).toEqual([]);
});

test("what is pending is sent again when its time has come, and not before", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);

  const early = await redeliver(specs.db, [specs.consumer]);
  await makeDue(specs.db, id);
  const due = await redeliver(specs.db, [specs.consumer]);
  const early2 = await redeliver(specs.db, [specs.consumer]);

  expect([early, early2]).toEqual([[], []]);
  expect(ids(due)).toEqual([id]);
});

test("M3: a lost update to an agent that has reported before is sent again within 30 s", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);
  const report = statusEvent({ id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  const lost = await turn(specs.db, [specs.consumer]);

  const { pause } = await ledger(specs.db, id);
  await makeDue(specs.db, id);
  const again = await redeliver(specs.db, [specs.consumer]);

  expect(lost).toHaveLength(1);
  // The pump that looks for what is due runs every five seconds.
  expect(pause).toBeLessThanOrEqual(25);
  expect(again[0]?.extensions["resourceversion"]).toBe(2);
});

test("the pauses between sendings double, with jitter, and start anew with an update", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);
  const pauses = [await ledger(specs.db, id)];
  for (let round = 0; round < 10; round++) {
    await makeDue(specs.db, id);
    await redeliver(specs.db, [specs.consumer]);
    pauses.push(await ledger(specs.db, id));
  }
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  await turn(specs.db, [specs.consumer]);
  const anew = await ledger(specs.db, id);

  pauses.forEach(({ pause, attempts }, index) => {
    const base = Math.min(20 * 2 ** index, 3600);
    expect(attempts).toBe(index + 1);
    // It counts from the beginning of the statement that notes the sending.
    expect(pause).toBeGreaterThanOrEqual(base * 0.75 - 1);
    expect(pause).toBeLessThanOrEqual(base * 1.25);
  });
  expect(anew.pause).toBeLessThanOrEqual(25);
});

test("what was last sent before the connection was made is sent again at once", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);
  const [clock] = await query<{ now: string }>(specs.db, "select clock_timestamp() as now", []);

  const again = await redeliver(specs.db, [specs.consumer], clock?.now);
  const once = await redeliver(specs.db, [specs.consumer], clock?.now);

  expect(ids(again)).toEqual([id]);
  expect(once).toEqual([]);
});

test("what the agent holds is not sent again, even to a new connection", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);
  const report = statusEvent({ id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));
  await makeDue(specs.db, id);
  const pending = await specs.create();

  const sent = await redeliver(specs.db, [specs.consumer], "2100-01-01T00:00:00Z");

  expect(ids(sent)).toEqual([pending.id]);
});

test("the deletion of what was sent a moment ago is sent at once, and the next update too", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await turn(specs.db, [specs.consumer]);

  await specs.acceptor.update(newUpdate(id, 1, "2"));
  const update = await turn(specs.db, [specs.consumer]);
  await specs.acceptor.delete({ id });
  const deletion = await turn(specs.db, [specs.consumer]);

  expect([actions(update), actions(deletion)]).toEqual([["update_request"], ["delete_request"]]);
});

test("a deletion is sent again until it is confirmed, whatever else is reported", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = createReportAcceptor(specs.db, log);
  const report = (parts: { isDeleted?: boolean }) =>
    readReport(statusEvent({ id, consumerName: specs.consumer, ...parts }), "maestro");
  await specs.acceptor.delete({ id });
  await turn(specs.db, [specs.consumer]);
  await accept(report({}));
  await makeDue(specs.db, id);

  const again = await redeliver(specs.db, [specs.consumer]);
  await accept(report({ isDeleted: true }));
  const afterwards = await redeliver(specs.db, [specs.consumer], "2100-01-01T00:00:00Z");

  expect(actions(again)).toEqual(["delete_request"]);
  expect(afterwards).toEqual([]);
});

test("redelivery leaves a turn to every consumer", async () => {
  await using specs: Specs = await openSpecs();
  const busy = await consumers(specs.db, "a-busy-", 30);
  for (const name of busy) await backlog(specs.db, name, 200);
  const [quiet = ""] = await consumers(specs.db, "z-quiet-", 1);
  const { id } = await specs.create({ consumerName: quiet });

  expect(ids(await redeliver(specs.db, [...busy, quiet]))).toContain(id);
});
