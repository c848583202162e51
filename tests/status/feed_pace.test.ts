/** What the reader of the feed reads, and when it looks again though nobody has woken it. */

import { expect, test } from "bun:test";
import { startPump } from "../../src/lib/pump.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { createFeed, type Feed } from "../../src/lib/status/feed.ts";
import { readForPump } from "../../src/lib/status/feed_pace.ts";
import { readNow, readPage } from "../../src/lib/status/feed_page.ts";
import { statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "../spec/specs.ts";

const log = testLogger();

async function report({ db, consumer }: Specs, id: string): Promise<void> {
  const event = statusEvent({ id, consumerName: consumer });
  await createReportAcceptor(db, log)(readReport(event, "maestro"));
}

/** Subscribes to these sources, or to everything; the kinds of what it is told. */
function attach(feed: Feed, sources: () => string[] | undefined): string[] {
  const told: string[] = [];
  feed.attach({
    sources,
    take: (changes) => void told.push(...changes.map(({ kind }) => kind)),
    end: (error) => expect.unreachable(error.message),
  });
  return told;
}

test("a report behind a transaction that still runs is told when that ends, though nobody says so", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const feed = createFeed(specs.db);
  const told = attach(feed, () => ["tests"]);
  await feed.open();
  const entered = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const other = specs.db.begin(async (tx) => {
    await tx.unsafe("select pg_current_xact_id()");
    entered.resolve();
    await leave.promise;
  });
  await entered.promise;
  await report(specs, id);
  // Nothing wakes it, and its own interval is long.
  await using _pump = startPump(readForPump(feed), { name: "feed", intervalMs: 60_000, log });
  await eventually(() => feed.isHeld());
  const meanwhile = [...told];

  leave.resolve();
  await other;

  expect(meanwhile).toEqual([]);
  await eventually(() => told.length, (count) => count === 1, { timeoutMs: 20_000 });
  await eventually(() => !feed.isHeld());
});

test("a transaction that has written nothing for the feed holds nothing", async () => {
  await using specs = await openSpecs();
  const feed = createFeed(specs.db);
  attach(feed, () => ["tests"]);
  await feed.open();

  const isHeld = await specs.db.begin(async (tx) => {
    await tx.unsafe("select pg_current_xact_id()");
    await feed.read();
    return feed.isHeld();
  });

  expect({ isHeld }).toEqual({ isHeld: false });
});

test("a reader for sources leaves out specs, and one for everybody does not", async () => {
  await using specs = await openSpecs();
  const from = await readNow(specs.db);
  const { id } = await specs.create();
  await report(specs, id);

  const kinds = async (sources: string[] | undefined) =>
    (await readPage(specs.db, from, sources)).changes.map(({ kind }) => kind);

  expect(await kinds(["tests"])).toEqual(["status"]);
  expect(await kinds(undefined)).toEqual(["spec", "status"]);
});

test("a watcher that comes while the feed is read for sources misses no spec", async () => {
  await using specs = await openSpecs();
  const feed = createFeed(specs.db);
  // So often the source is alone when it is looked for whom the feed is read.
  let looks = Infinity;
  const told = attach(feed, () => looks-- > 0 ? ["tests"] : undefined);
  await feed.open();
  await specs.create();
  const before = feed.wantsSpecs();

  // When the statement begins; when it has ended the watcher is there.
  looks = 1;
  while (await feed.read());

  expect([before, feed.wantsSpecs()]).toEqual([false, true]);
  expect(told).toEqual(["spec"]);
});
