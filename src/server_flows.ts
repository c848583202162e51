/** Wires the two flows to the gRPC doors: pumps, notifications, and what keeps the tables small. */

import * as q from "./gen/queries.ts";
import type { Authenticate } from "./lib/access/caller.ts";
import type { ServerConfig } from "./lib/config.ts";
import type { Db } from "./lib/db/connect.ts";
import { describeError } from "./lib/errors.ts";
import type { AgentDoor } from "./lib/grpc/agents.ts";
import { createSourceDoor, type SourceDoor } from "./lib/grpc/sources.ts";
import { heartbeatMs } from "./lib/grpc_config.ts";
import type { Logger } from "./lib/log.ts";
import { startPump } from "./lib/pump.ts";
import { type Acceptor, createAcceptor } from "./lib/spec/accept.ts";
import { createSpecPublisher, redeliverSpecs } from "./lib/spec/publish.ts";
import { createFeed, type Feed } from "./lib/status/feed.ts";
import { startFollowing } from "./lib/status/follow.ts";
import { toFeedEvent } from "./lib/status/status_teller.ts";
import { keepFeed, purgeTombstones } from "./lib/status/upkeep.ts";
import { answerStatusResync } from "./lib/status/resync.ts";
import { openRoad } from "./server_road.ts";

/** A lost notification costs this much; faults.md asks for two seconds. */
const SWEEP_MS = 1_000;
const REDELIVER_MS = 5_000;
const PURGE_MS = 60_000;
const PROBE_MS = 5_000;
const FEED_RETENTION_SECONDS = 24 * 3600;
/** A transaction that holds the feed back for longer is reported. */
const FEED_HELD_SECONDS = 10;
const TOMBSTONE_RETENTION_SECONDS = 30 * 24 * 3600;

export interface Flows {
  acceptor: Acceptor;
  sources: SourceDoor;
  /** What is new, for whoever watches. */
  feed: Feed;
  /** The gRPC broker for agents; undefined if they are reached by MQTT. */
  agents: AgentDoor | undefined;
  /** Why the server cannot do its work now; undefined if it can. */
  readiness: () => string | undefined;
}

export interface FlowParts {
  db: Db;
  config: ServerConfig;
  log: Logger;
  authenticate: Authenticate;
}

/** Starts both flows; `stack` ends them. */
export async function startFlows(stack: AsyncDisposableStack, parts: FlowParts): Promise<Flows> {
  const { db, config, log } = parts;
  const down = await startDown(stack, parts);
  const up = startUp(stack, parts, down.acceptor);
  // Notifications only wake. After a lost connection whatever was missed is looked for.
  await listen(stack, db, "spec_events", {
    heard: (names) => down.wake(names.split(",").filter(down.isConnected)),
    caughtUp: () => down.wake([]),
  });
  await listen(stack, db, "changes", { heard: up.wake, caughtUp: up.wake });
  startUpkeep(stack, db, log);
  const isStored = startProbe(stack, db, { log, intervalMs: PROBE_MS });
  const readiness = () => isStored() ?? down.readiness();
  log.debug("the flows run", { source: config["source-id"] });
  return {
    acceptor: down.acceptor,
    agents: down.agents,
    sources: up.sources,
    feed: up.feed,
    readiness,
  };
}

/** Down: from the outbox to the agents. */
async function startDown(stack: AsyncDisposableStack, parts: FlowParts) {
  const { db, config, log } = parts;
  const sourceId = config["source-id"];
  const acceptor = createAcceptor(db);
  const wake = (consumerNames: string[]) => {
    publisher.hint(consumerNames);
    publishing.wake();
  };
  const road = await openRoad(stack, parts, (consumerNames) => {
    wake(consumerNames);
    redelivering.wake();
  });
  const { publish, ready } = road;
  const publisher = createSpecPublisher(db, publish, log, { sourceId, ready, sweepMs: SWEEP_MS });
  const publishing = stack.use(
    startPump(publisher.run, { name: "spec-publisher", intervalMs: SWEEP_MS, log }),
  );
  const redelivering = stack.use(
    startPump(() => redeliverSpecs(db, publish, log, { sourceId, ready: ready() }), {
      name: "spec-redelivery",
      intervalMs: REDELIVER_MS,
      log,
    }),
  );
  return { ...road, acceptor, wake };
}

/** Up: from the change feed to the sources. */
function startUp(
  stack: AsyncDisposableStack,
  { db, config, log, authenticate }: FlowParts,
  acceptor: Acceptor,
) {
  const sources = createSourceDoor({
    acceptor,
    authenticate: async (authorization) => {
      if (config["grpc-authn-type"] !== "mock") await authenticate({ authorization });
    },
    answerResync: (deliver, request) =>
      answerStatusResync(db, deliver, { ...request, sourceId: config["source-id"] }),
    beforeSubscribe: () => feed.open(),
    follow: (follower, cursor) => startFollowing(db, feed, follower, cursor),
    heartbeatMs: heartbeatMs(config),
    log,
  });
  const feed = createFeed(db);
  feed.attach({
    sources: sources.sources,
    take(changes) {
      for (const change of changes) {
        const event = toFeedEvent(change);
        if (event !== undefined) sources.broadcast(change.source, event);
      }
    },
    end: (error) => sources.restart(error.message),
  });
  const telling = stack.use(
    startPump(feed.read, { name: "status-feed", intervalMs: SWEEP_MS, log }),
  );
  return { sources, feed, wake: telling.wake };
}

async function listen(
  stack: AsyncDisposableStack,
  db: Db,
  channel: string,
  on: { heard: (text: string) => void; caughtUp: () => void },
): Promise<void> {
  const { unlisten } = await db.listen(channel, on.heard, on.caughtUp);
  // The pool is closed right after, which ends the session anyway.
  stack.defer(() => unlisten().catch(() => {}));
}

/** Drops what nobody needs any more, a bounded number of rows at a time. */
function startUpkeep(stack: AsyncDisposableStack, db: Db, log: Logger): void {
  stack.use(
    startPump(async () => {
      const hasMoreChanges = await keepFeed(db, log, {
        retentionSeconds: FEED_RETENTION_SECONDS,
        heldSeconds: FEED_HELD_SECONDS,
      });
      return await purgeTombstones(db, TOMBSTONE_RETENTION_SECONDS) || hasMoreChanges;
    }, { name: "upkeep", intervalMs: PURGE_MS, log }),
  );
}

/** Asks the database now and then whether it is there, so that a health check need not. */
function startProbe(
  stack: AsyncDisposableStack,
  db: Db,
  { log, intervalMs }: { log: Logger; intervalMs: number },
): () => string | undefined {
  let reason: string | undefined;
  stack.use(
    startPump(async () => {
      try {
        await q.clockNow(db);
        reason = undefined;
      } catch (error) {
        reason = `the database does not answer: ${describeError(error)}`;
        log.warn("not ready", { reason });
      }
    }, { name: "probe", intervalMs, log }),
  );
  return () => reason;
}
