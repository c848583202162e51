/** Wires the two flows to the gRPC doors: pumps, notifications, and what keeps the tables small. */

import * as q from "./gen/queries.ts";
import type { Authenticate } from "./lib/access/caller.ts";
import type { ServerConfig } from "./lib/config.ts";
import type { Db } from "./lib/db/connect.ts";
import { describeError } from "./lib/errors.ts";
import { type AgentDoor, createAgentDoor } from "./lib/grpc/agents.ts";
import { createSourceDoor, type SourceDoor } from "./lib/grpc/sources.ts";
import type { Logger } from "./lib/log.ts";
import { startPump } from "./lib/pump.ts";
import { type Acceptor, createAcceptor } from "./lib/spec/accept.ts";
import { createSpecPublisher, redeliverSpecs } from "./lib/spec/publish.ts";
import { answerSpecResync } from "./lib/spec/resync.ts";
import { createReportAcceptor } from "./lib/status/accept.ts";
import { createFeed, purgeFeed, purgeTombstones } from "./lib/status/feed.ts";
import { answerStatusResync } from "./lib/status/resync.ts";

/** A lost notification costs this much; faults.md asks for two seconds. */
const SWEEP_MS = 1_000;
const REDELIVER_MS = 5_000;
const PURGE_MS = 60_000;
const PROBE_MS = 5_000;
const FEED_RETENTION_SECONDS = 24 * 3600;
const TOMBSTONE_RETENTION_SECONDS = 30 * 24 * 3600;

export interface Flows {
  acceptor: Acceptor;
  sources: SourceDoor;
  agents: AgentDoor;
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
  const down = startDown(stack, parts);
  const up = startUp(stack, parts, down.acceptor);
  // Notifications only wake. After a lost connection whatever was missed is looked for.
  await listen(stack, db, "spec_events", {
    heard: (names) => down.wake(names.split(",").filter(down.agents.isConnected)),
    caughtUp: () => down.wake([]),
  });
  await listen(stack, db, "changes", { heard: up.wake, caughtUp: up.wake });
  startUpkeep(stack, db, log);
  const readiness = startProbe(stack, db, { log, intervalMs: PROBE_MS });
  log.debug("the flows run", { source: config["source-id"] });
  return { acceptor: down.acceptor, agents: down.agents, sources: up.sources, readiness };
}

/** Down: from the outbox to the agents. */
function startDown(stack: AsyncDisposableStack, { db, config, log }: FlowParts) {
  const sourceId = config["source-id"];
  const acceptor = createAcceptor(db);
  const agents = createAgentDoor({
    acceptReport: createReportAcceptor(db, log),
    answerResync: (deliver, { name: consumerName, connectedAt }, request) =>
      answerSpecResync(db, deliver, log, { consumerName, connectedAt, sourceId, ...request }),
    now: async () => {
      const [row] = await q.clockNow(db);
      return row?.now ?? new Date().toISOString();
    },
    wake: (consumerName) => {
      wake([consumerName]);
      redelivering.wake();
    },
    sourceId,
    heartbeatMs: config["heartbeat-check-interval"],
    log,
  });
  const ready = agents.ready;
  const publisher = createSpecPublisher(db, agents.publish, log, {
    sourceId,
    ready,
    sweepMs: SWEEP_MS,
  });
  const publishing = stack.use(
    startPump(publisher.run, { name: "spec-publisher", intervalMs: SWEEP_MS, log }),
  );
  const redelivering = stack.use(
    startPump(() => redeliverSpecs(db, agents.publish, log, { sourceId, ready: ready() }), {
      name: "spec-redelivery",
      intervalMs: REDELIVER_MS,
      log,
    }),
  );
  const wake = (consumerNames: string[]) => {
    publisher.hint(consumerNames);
    publishing.wake();
  };
  return { acceptor, agents, wake };
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
    answerResync: (deliver, source, held) => answerStatusResync(db, deliver, source, held),
    beforeSubscribe: () => feed.open(),
    heartbeatMs: config["heartbeat-check-interval"],
    log,
  });
  const feed = createFeed(db, sources.broadcast, sources.sources);
  const telling = stack.use(
    startPump(feed.read, { name: "status-feed", intervalMs: SWEEP_MS, log }),
  );
  return { sources, wake: telling.wake };
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
      const hasMoreChanges = await purgeFeed(db, FEED_RETENTION_SECONDS);
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
