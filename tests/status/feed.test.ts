/** How subscribers learn of every status and every deletion. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { createFeed, type Feed } from "../../src/lib/status/feed.ts";
import { type Change, readNow } from "../../src/lib/status/feed_page.ts";
import { toFeedEvent } from "../../src/lib/status/status_teller.ts";
import { keepFeed, purgeTombstones } from "../../src/lib/status/upkeep.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { nextSequence, statusEvent, type StatusEventParts } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "../spec/specs.ts";

interface Listener {
  feed: Feed;
  told: { source: string; event: CloudEvent }[];
  sources: string[];
  /** Reads until there is nothing more. */
  readAll(): Promise<void>;
}

function listen(specs: Specs, ...sources: string[]): Listener {
  const told: Listener["told"] = [];
  const feed = createFeed(specs.db);
  feed.attach({
    sources: () => sources,
    take(changes) {
      for (const change of changes) {
        const event = toFeedEvent(change);
        if (event !== undefined) told.push({ source: change.source, event });
      }
    },
    end: (error) => expect.unreachable(error.message),
  });
  const readAll = async () => {
    while (await feed.read());
  };
  return { feed, told, sources, readAll };
}

async function report(specs: Specs, parts: Omit<StatusEventParts, "consumerName">): Promise<void> {
  const event = statusEvent({ consumerName: specs.consumer, ...parts });
  await createReportAcceptor(specs.db, testLogger())(readReport(event, "maestro"));
}

const messages = ({ told }: Listener) =>
  told.map(({ event }) => JSON.parse(event.data ?? "{}").conditions[0].message);

test("a subscriber is told of a status: the report, its spec, and the source's own metadata", async () => {
  await using specs = await openSpecs();
  const spec = '{"manifests":[], "big":9007199254740993}';
  const { id } = await specs.create({ spec, metadata: '{"name":"given","labels":{"a":"b"}}' });
  const listener = listen(specs, "tests");
  await listener.feed.open();
  const sequence = nextSequence();

  await report(specs, { id, sequence, data: '{ "conditions": [], "n": 1.0 }' });
  await listener.readAll();

  expect(listener.told).toHaveLength(1);
  const { source, event } = listener.told[0] ?? { source: "" };
  expect(source).toBe("tests");
  expect(event).toMatchObject({
    source: `${specs.consumer}-agent`,
    datacontenttype: "application/json",
    extensions: {
      resourceid: id,
      resourceversion: 1,
      sequenceid: sequence,
      statushash: `hash-${sequence}`,
      originalsource: "maestro",
    },
  });
  expect(event?.data).toBe(`{"manifestBundle":${spec}, "conditions": [], "n": 1.0 }`);
  const metadata = JSON.parse(String(event?.extensions["metadata"]));
  expect(metadata).toMatchObject({ name: "given", labels: { a: "b" } });
  expect(metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
});

test("a burst of reports on one resource is told once, by its last state", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const listener = listen(specs, "tests");
  await listener.feed.open();

  for (const message of ["1", "2", "3"]) await report(specs, { id, message });
  await listener.readAll();
  await report(specs, { id, message: "4" });
  await listener.readAll();
  await listener.readAll();

  expect(messages(listener)).toEqual(["3", "4"]);
});

test("only the sources that somebody listens to are told", async () => {
  await using specs = await openSpecs();
  const own = await specs.create();
  const other = await specs.create({ source: "others" });
  const listener = listen(specs, "tests");
  await listener.feed.open();

  await report(specs, { id: own.id, message: "own" });
  await report(specs, { id: other.id, message: "other" });
  await listener.readAll();

  expect(messages(listener)).toEqual(["own"]);
});

test("a confirmed deletion is told with its last state, though the resource is gone", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ metadata: '{"name":"given"}' });
  const listener = listen(specs, "tests");
  await listener.feed.open();

  await report(specs, { id, message: "alive" });
  await specs.acceptor.delete({ id });
  await report(specs, { id, message: "gone", isDeleted: true });
  await listener.readAll();

  expect(messages(listener)).toEqual(["gone"]);
  const { event } = listener.told[0] ?? {};
  expect(event?.data).toStartWith(`{"manifestBundle":{`);
  expect(JSON.parse(String(event?.extensions["metadata"]))).toMatchObject({
    name: "given",
    deletionTimestamp: expect.any(String),
  });
});

test("a deletion and the next life of the same id are told in their order", async () => {
  await using specs = await openSpecs();
  const resource = await specs.create();
  const { id } = resource;
  const listener = listen(specs, "tests");
  await listener.feed.open();
  await specs.acceptor.delete({ id });
  await report(specs, { id, message: "gone", isDeleted: true });
  await specs.acceptor.create(resource);
  await report(specs, { id, message: "reborn" });

  await listener.readAll();

  expect(messages(listener)).toEqual(["gone", "reborn"]);
});

test("a change that is committed late is not passed over", async () => {
  await using specs = await openSpecs();
  const [late, early] = [await specs.create(), await specs.create()];
  const listener = listen(specs, "tests");
  await listener.feed.open();
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  // A report whose transaction has begun first and ends last, as a slow server's does.
  const slow = specs.db.begin(async (tx) => {
    await tx.unsafe(
      "with stored as (update resources set status = $1, status_event = $2, status_sequence = 7 " +
        "where id = $3 returning *) insert into changes (kind, resource_id, source, " +
        "consumer_name, sequence, resource_created_at) " +
        "select 'status', id, source, consumer_name, 7, created_at from stored",
      [
        '{"conditions":[{"message":"late"}]}',
        '{"specversion":"1.0","id":"a","source":"s","type":"t"}',
        late.id,
      ],
    );
    entered.resolve();
    await leave.promise;
  });
  await entered.promise;
  await report(specs, { id: early.id, message: "early" });

  await listener.readAll();
  const meanwhile = messages(listener);
  leave.resolve();
  await slow;
  await listener.readAll();

  expect(meanwhile).toEqual([]);
  expect(messages(listener)).toEqual(["late", "early"]);
});

test("a reader that starts while a change is being written sees it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const slow = specs.db.begin(async (tx) => {
    await tx.unsafe(`select pg_current_xact_id()`);
    entered.resolve();
    await leave.promise;
    await tx.unsafe(
      "insert into changes (kind, resource_id, source, consumer_name, sequence, status, " +
        "status_event, resource_created_at) values ('deleted', $1, 'tests', 'c', 1, $2, $3, now())",
      [
        id,
        '{"conditions":[{"message":"being written"}]}',
        '{"specversion":"1.0","id":"a","source":"s","type":"t"}',
      ],
    );
  });
  await entered.promise;
  const listener = listen(specs, "tests");

  await listener.feed.open();
  leave.resolve();
  await slow;
  await listener.readAll();

  expect(messages(listener)).toEqual(["being written"]);
});

test("while nobody listens nothing is read, and the next listener starts at the end", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const listener = listen(specs, "tests");
  await listener.feed.open();
  await listener.readAll();

  listener.sources.length = 0;
  await report(specs, { id, message: "unheard" });
  await listener.readAll();
  listener.sources.push("tests");
  await listener.feed.open();
  await listener.readAll();
  await report(specs, { id, message: "heard" });
  await listener.readAll();

  expect(messages(listener)).toEqual(["heard"]);
});

test("a long feed is read page by page, in order, once", async () => {
  await using specs = await openSpecs();
  const listener = listen(specs, "tests");
  await listener.feed.open();
  await query(
    specs.db,
    "insert into changes (kind, resource_id, source, consumer_name, sequence, status, " +
      "status_event, resource_created_at) select 'deleted', n::text, 'tests', 'c', n, " +
      `('{"conditions":[{"message":"' || n || '"}]}')::json, ` +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}', now() ` +
      "from generate_series(1, 1234) n",
    [],
  );

  await listener.readAll();

  expect(messages(listener)).toEqual(Array.from({ length: 1234 }, (_, index) => `${index + 1}`));
});

test("two servers each tell their own subscribers of everything", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const listeners = [listen(specs, "tests"), listen(specs, "tests")];
  for (const { feed } of listeners) await feed.open();

  await report(specs, { id, message: "both" });
  for (const { readAll } of listeners) await readAll();

  expect(listeners.map(messages)).toEqual([["both"], ["both"]]);
});

test("what is older than its retention is purged, the rest stays", async () => {
  await using specs = await openSpecs();
  const created = [await specs.create(), await specs.create()];
  for (const { id } of created) {
    await report(specs, { id });
    await specs.acceptor.delete({ id });
    await report(specs, { id, isDeleted: true });
  }
  const old = created[0]?.id ?? "";
  const age = "interval '2 hours'";
  await query(specs.db, `update changes set created_at = now() - ${age} where resource_id = $1`, [
    old,
  ]);
  await query(specs.db, `update tombstones set confirmed_at = now() - ${age} where id = $1`, [old]);

  const options = { retentionSeconds: 3600, heldSeconds: 60 };
  const more = [
    await keepFeed(specs.db, testLogger(), options),
    await purgeTombstones(specs.db, 3600),
  ];

  const left = await query(
    specs.db,
    "select 'change' as what, resource_id as id from changes where kind <> 'spec' union all " +
      "select 'tombstone', id from tombstones order by what",
    [],
  );
  const kept = created[1]?.id;
  expect(more).toEqual([false, false]);
  expect(left).toEqual([
    { what: "change", id: kept },
    { what: "change", id: kept },
    { what: "tombstone", id: kept },
  ]);
});

test("whoever has seen a resource created, and joins a reader that has not, is told of no other creation", async () => {
  await using specs = await openSpecs();
  const feed = createFeed(specs.db);
  const subscriber = (told: string[]) => ({
    sources: () => undefined,
    take(changes: readonly Change[]) {
      for (const { version, is_current, is_creation } of changes) {
        if (is_current) told.push(`${is_creation ? "created" : "changed"} ${version}`);
      }
    },
    end: (error: Error) => expect.unreachable(error.message),
  });
  const [others, own]: [string[], string[]] = [[], []];
  feed.attach(subscriber(others));
  await feed.open();
  const { id } = await specs.create();
  const seen = await readNow(specs.db);

  expect(feed.join(subscriber(own), seen)).toBeTrue();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  while (await feed.read());

  expect(own).toEqual(["changed 2"]);
  expect(others).toEqual(["created 2"]);
});

test("a source that subscribes while the feed is being read misses nothing of it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ source: "late" });
  const other = await specs.create({ source: "early" });
  const told: string[] = [];
  // So often the early source is alone when it is looked for whom the feed is read.
  let looks = Infinity;
  const feed = createFeed(specs.db);
  feed.attach({
    sources: () => looks-- > 0 ? ["early"] : ["early", "late"],
    take(changes) {
      for (const change of changes) if (toFeedEvent(change)) told.push(change.source);
    },
    end: (error) => expect.unreachable(error.message),
  });
  await feed.open();
  await report(specs, { id: other.id });
  await report(specs, { id });

  // The statement is under way for the early source when the late one is let in.
  looks = 1;
  while (await feed.read());

  expect(told).toEqual(["early", "late"]);
});
