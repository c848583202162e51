/** Wires the two flows to the gRPC doors: pumps, notifications, and what keeps the tables small. */

import type { Authenticate } from "./lib/access/caller.ts";
import type { ServerConfig } from "./lib/config.ts";
import type { Db } from "./lib/db/connect.ts";
import { analyzeGrown } from "./lib/db/grown.ts";
import { startListening } from "./lib/db/listen.ts";
import { createWakes, type Sleepers } from "./lib/db/wakes.ts";
import type { AgentDoor } from "./lib/grpc/agents.ts";
import { createSourceDoor, type SourceDoor } from "./lib/grpc/sources.ts";
import { heartbeatMs } from "./lib/grpc_config.ts";
import type { Logger } from "./lib/log.ts";
import { startPump } from "./lib/pump.ts";
import { type Acceptor, createAcceptor } from "./lib/spec/accept.ts";
import { createSpecPublisher, isReadyNow } from "./lib/spec/publish.ts";
import { purgeRequestKeys } from "./lib/spec/request_keys.ts";
import { createSpecRedelivery } from "./lib/spec/redeliver.ts";
import { createSender } from "./lib/spec/send.ts";
import { expireResources } from "./lib/spec/ttl.ts";
import { createFeed, type Feed } from "./lib/status/feed.ts";
import { readForPump } from "./lib/status/feed_pace.ts";
import { startFollowing } from "./lib/status/follow.ts";
import { toFeedEvent } from "./lib/status/status_teller.ts";
import { keepFeed, purgeTombstones } from "./lib/status/upkeep.ts";
import { answerStatusResync } from "./lib/status/resync.ts";
import { openRoad } from "./server_road.ts";

/** A lost notification costs this much; faults.md asks for two seconds. */
const SWEEP_MS = 1_000;
const REDELIVER_MS = 5_000;
const EXPIRE_MS = 5_000;
const PURGE_MS = 60_000;
const GROWN_MS = 5_000;
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
  /** Why the database cannot be used; undefined if it can. */
  cutOff: () => string | undefined;
}

export interface FlowParts {
  db: Db;
  config: ServerConfig;
  log: Logger;
  authenticate: Authenticate;
  /** How notifications are heard. Nothing depends on them but time. */
  listen?: typeof startListening;
}

/** Starts both flows; `stack` ends them. */
export async function startFlows(stack: AsyncDisposableStack, parts: FlowParts): Promise<Flows> {
  const { db, config, log, listen = startListening } = parts;
  // Wakes come from here and from other servers. None of them is needed: every loop also runs by a timer.
  // Agents may report before anybody can have subscribed.
  const telling: { up?: ReturnType<typeof startUp> } = {};
  const sleepers = {
    specs(consumerNames: string[]) {
      down.wake(consumerNames.filter(down.isConnected));
      telling.up?.wakeForSpecs();
    },
    statuses: () => telling.up?.wake(),
  };
  const wakes = stack.use(createWakes(db, sleepers, log));
  const down = await startDown(stack, parts, wakes);
  const up = telling.up = startUp(stack, parts, down.acceptor);
  stack.use(listen(db, wakes.channels, log));
  startUpkeep(stack, db, log);
  if (config["ttl-after-finished"]) {
    const expire = () => expireResources(db, log);
    stack.use(startPump(expire, { name: "ttl-after-finished", intervalMs: EXPIRE_MS, log }));
  }
  const cutOff = () => db.watch?.reason();
  const readiness = () => cutOff() ?? down.readiness();
  log.debug("the flows run", { source: config["source-id"] });
  return {
    acceptor: down.acceptor,
    agents: down.agents,
    sources: up.sources,
    feed: up.feed,
    readiness,
    cutOff,
  };
}

/** Down: from the outbox to the agents. */
async function startDown(stack: AsyncDisposableStack, parts: FlowParts, wakes: Sleepers) {
  const { db, config, log } = parts;
  const sourceId = config["source-id"];
  const wake = (consumerNames: string[]) => {
    publisher.hint(consumerNames);
    publishing.wake();
  };
  const road = await openRoad(stack, parts, {
    wake(consumerNames) {
      wake(consumerNames);
      redelivery.hint(consumerNames);
      redelivering.wake();
    },
    reported: wakes.statuses,
  });
  const { publish, ready } = road;
  const isReady = (name: string) => isReadyNow(ready(), name);
  const sender = createSender(isReady, publish, log, sourceId);
  const acceptor = createAcceptor(db, sender, wakes.specs);
  const publisher = createSpecPublisher(db, publish, log, { sourceId, ready, sweepMs: SWEEP_MS });
  const publishing = stack.use(
    startPump(publisher.run, { name: "spec-publisher", intervalMs: SWEEP_MS, log }),
  );
  const again = { sourceId, ready, sweepMs: REDELIVER_MS };
  const redelivery = createSpecRedelivery(db, publish, log, again);
  const redelivering = stack.use(
    startPump(redelivery.run, { name: "spec-redelivery", intervalMs: REDELIVER_MS, log }),
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
    authenticate: async (authorization) =>
      config["grpc-authn-type"] === "mock" ? undefined : await authenticate({ authorization }),
    answerResync: (asking, request) =>
      answerStatusResync(db, feed, asking, { ...request, sourceId: config["source-id"] }),
    letIn: (enter) => feed.open(enter),
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
    startPump(readForPump(feed), { name: "status-feed", intervalMs: SWEEP_MS, log }),
  );
  const wakeForSpecs = () => {
    if (feed.wantsSpecs()) telling.wake();
  };
  return { sources, feed, wake: telling.wake, wakeForSpecs };
}

/** Drops what nobody needs any more, a bounded number of rows at a time, and has what has grown planned for anew. */
function startUpkeep(stack: AsyncDisposableStack, db: Db, log: Logger): void {
  stack.use(
    startPump(async () => {
      const hasMoreChanges = await keepFeed(db, log, {
        retentionSeconds: FEED_RETENTION_SECONDS,
        heldSeconds: FEED_HELD_SECONDS,
      });
      const hasMoreKeys = await purgeRequestKeys(db);
      const hasMoreTombstones = await purgeTombstones(db, TOMBSTONE_RETENTION_SECONDS);
      return hasMoreTombstones || hasMoreKeys || hasMoreChanges;
    }, { name: "upkeep", intervalMs: PURGE_MS, log }),
  );
  stack.use(startPump(() => analyzeGrown(db), { name: "analyze", intervalMs: GROWN_MS, log }));
}
