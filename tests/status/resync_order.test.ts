/** A source that resyncs while its statuses change: no older state comes after a newer one (promise I7). */

import { expect, test } from "bun:test";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { parseFlags } from "../../src/lib/flags.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import { createSourceDoor } from "../../src/lib/grpc/sources.ts";
import { GRPC_FLAGS, grpcLimits } from "../../src/lib/grpc_config.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { createFeed } from "../../src/lib/status/feed.ts";
import { startFollowing } from "../../src/lib/status/follow.ts";
import { answerStatusResync, type Asking } from "../../src/lib/status/resync.ts";
import { toFeedEvent } from "../../src/lib/status/status_teller.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { eventually } from "../harness/eventually.ts";
import { nextSequence, statusEvent, statusResync } from "../harness/events.ts";
import { subscribe } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { openSpecs, type Specs } from "../spec/specs.ts";

const HAS_ROOM = true;

const REQUEST = { source: "tests", held: [], dataType: MANIFEST_BUNDLES, sourceId: "maestro" };
/** Long enough for all that the test does meanwhile. */
const LATE_MS = 1_000;
/** How statements begin, by which PostgreSQL tells what runs. */
const FEED = "Reads the feed";
const STATUSES = "Reads the statuses of resources";

async function report(specs: Specs, id: string): Promise<string> {
  const sequence = nextSequence();
  const event = statusEvent({ id, consumerName: specs.consumer, sequence });
  await createReportAcceptor(specs.db, testLogger())(readReport(event, "maestro"));
  return sequence;
}

/** A subscriber of the feed; `told` is all that it was told, by whichever way. */
function listen(db: Specs["db"]) {
  const told: CloudEvent[] = [];
  const feed = createFeed(db);
  feed.attach({
    sources: () => ["tests"],
    take: (changes) => told.push(...changes.flatMap((change) => toFeedEvent(change) ?? [])),
    end: (error) => expect.unreachable(error.message),
  });
  const asking: Asking = {
    tell: (event) => void told.push(event),
    caughtUp: () => Promise.resolve(HAS_ROOM),
  };
  const sequencesOf = (id: string) =>
    told.filter(({ extensions }) => extensions["resourceid"] === id)
      .map(({ extensions }) => String(extensions["sequenceid"]));
  return { feed, asking, sequencesOf };
}

test("a status that changes while a slow source is answered is not told as it was before", async () => {
  await using specs = await openSpecs();
  const [one, other] = [await specs.create(), await specs.create()]
    .toSorted((a, b) => a.id < b.id ? -1 : 1).map(({ id }) => id) as [string, string];
  await report(specs, one);
  await report(specs, other);
  const { feed, asking, sequencesOf } = listen(specs.db);
  await feed.open();
  let after = "";
  const tell = (event: CloudEvent) => {
    asking.tell(event);
    // The first of its answers has been told, and the source is slow.
    if (event.extensions["resourceid"] === one) changed ??= change();
  };
  let changed: Promise<void> | undefined;
  const change = async () => {
    after = await report(specs, other);
    while (await feed.read());
  };
  const caughtUp = async () => {
    await changed;
    return true;
  };

  await answerStatusResync(specs.db, feed, { tell, caughtUp }, REQUEST);

  expect(sequencesOf(other)).toEqual(sequencesOf(other).toSorted());
  expect(sequencesOf(other).at(-1)).toBe(after);
});

test("what the feed read before, and tells late, comes before the answer to a resync", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await using late = await openLate(specs);
  const { feed, asking, sequencesOf } = listen(late.db);
  await feed.open();
  // The statement is prepared.
  while (await feed.read());
  const before = await report(specs, id);
  const { reading } = await late.startReading(FEED, () => feed.read());
  const after = await report(specs, id);
  await answerStatusResync(specs.db, feed, asking, REQUEST);
  await reading;

  expect(sequencesOf(id)).toEqual([before, after]);
});

test("a source that asks twice at once is not told how it was after how it is", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await using late = await openLate(specs);
  const { feed, asking, sequencesOf } = listen(specs.db);
  const before = await report(specs, id);
  const answer = (db: Db) => answerStatusResync(db, feed, asking, REQUEST);
  // The statements are prepared.
  await answer(late.db);
  const { reading } = await late.startReading(STATUSES, () => answer(late.db));
  const after = await report(specs, id);

  await answer(specs.db);
  await reading;

  expect(sequencesOf(id)).toEqual([before, before, after]);
});

test("what the feed read before a source came, and tells late, is not told to it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await using late = await openLate(specs);
  const { feed, sequencesOf } = listen(late.db);
  const door = createSourceDoor({
    acceptor: specs.acceptor,
    authenticate: () => Promise.resolve(undefined),
    answerResync: (asking, request) =>
      answerStatusResync(specs.db, feed, asking, { ...REQUEST, ...request }),
    letIn: (enter) => feed.open(enter),
    follow: (follower, cursor) => startFollowing(specs.db, feed, follower, cursor),
    heartbeatMs: undefined,
    log: testLogger(),
  });
  feed.attach({
    sources: door.sources,
    take(changes) {
      for (const change of changes) {
        const event = toFeedEvent(change);
        if (event !== undefined) door.broadcast(change.source, event);
      }
    },
    end: (error) => expect.unreachable(error.message),
  });
  const limits = grpcLimits(parseFlags(GRPC_FLAGS, [], {}).values);
  await using server = await serveGrpc(door.methods, {
    hostname: "127.0.0.1",
    port: 0,
    limits,
    log: testLogger(),
  });
  await feed.open();
  // The statement is prepared.
  while (await feed.read());
  const before = await report(specs, id);
  const { reading } = await late.startReading(FEED, () => feed.read());
  const after = await report(specs, id);

  // It has heard of what came after from another server.
  await using source = await subscribe(`127.0.0.1:${server.port}`, { source: "tests" });
  await source.publish(statusResync("tests", []));
  await source.waitFor(({ extensions }) => extensions["sequenceid"] === after);
  await reading;

  expect(source.events.map(({ extensions }) => extensions["sequenceid"])).toEqual([after]);
  expect(sequencesOf(id)).toEqual([before]);
});

/** A connection to the database whose answers can be late. */
async function openLate(specs: Specs) {
  await using stack = new AsyncDisposableStack();
  const { host, port } = specs.address;
  const proxy = stack.use(await startTcpProxy(`${host}/.s.PGSQL.${port}`));
  const settings = { maxConnections: 1, applicationName: "late" };
  const db = stack.adopt(
    connect({ ...specs.address, host: "127.0.0.1", port: proxy.port }, settings),
    (late) => late.end({ timeout: 0 }),
  );
  const owned = stack.move();
  return {
    db,
    /** Starts what reads with this statement; resolves once PostgreSQL has answered it, before that arrives. */
    async startReading<T>(
      statement: string,
      read: () => Promise<T>,
    ): Promise<{ reading: Promise<T> }> {
      const earlier = await answeredAt(specs, statement);
      proxy.slow("down", { delayMs: LATE_MS });
      const reading = read();
      await eventually(
        () => answeredAt(specs, statement),
        (at) => at !== undefined && at !== earlier,
      );
      return { reading };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** When PostgreSQL last answered a statement of the late connection; undefined while it works, or did another since. */
async function answeredAt({ db }: Specs, statement: string): Promise<string | undefined> {
  const text = "select state_change::text as at from pg_stat_activity " +
    "where application_name = 'late' and state = 'idle' and strpos(query, $1) > 0";
  return (await query<{ at: string }>(db, text, [statement]))[0]?.at;
}
