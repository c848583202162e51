/**
 * The agent: receives works, applies them, removes what is no longer wanted, and reports.
 *
 * A work is received, then waits for a pass, then for news: a newer spec, an object that somebody changed, a
 * removed object that is finally gone. Each asks for another pass; nothing runs by the clock. What a watch sees
 * becomes the status at once, without a pass.
 */

import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { EventType } from "../wire/event_type.ts";
import { createSequence } from "../wire/sequence.ts";
import { startAlarms } from "./alarms.ts";
import type { Broker, BrokerEvents } from "./broker.ts";
import { installLedgerType } from "./crd.ts";
import { createDigestWatch } from "./digest.ts";
import { createExecutors, wakeDenied } from "./executor.ts";
import { createDoubts } from "./doubts.ts";
import { entryKey, followLedger, takeTurn } from "./follow_ledger.ts";
import { createKeeper } from "./keep.ts";
import type { Kube } from "./kube_api.ts";
import { openLedger } from "./ledger.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import { createKeyedQueue } from "../keyed_queue.ts";
import { recall } from "./recall.ts";
import { type Acquaintance, takeEvent } from "./reception.ts";
import { createReconciler, type Pace, type Reconciler } from "./reconcile.ts";
import type { Reporter } from "./report.ts";
import { briefResyncRequest, specResyncRequests } from "./resync.ts";
import { tellUnclaimed, unclaimedEntries, unclaimedIds } from "./unclaimed.ts";
import { startWatches } from "./watches.ts";
import type { Backlog, Witness } from "./witness.ts";
import { hasWord } from "./work.ts";

export interface WorkAgentOptions {
  consumerName: string;
  /** The `source` of the agent's events. */
  agentId: string;
  agentVersion: string;
  /** By what name the hub's AppliedManifestWorks are known; the broker's unless given. */
  hubName?: string | undefined;
  /** Who goes on with them, as they say it; the hash of the hub's name unless given. */
  ownerId?: string | undefined;
  /** What to ask the server for after each connect. */
  dataTypes: readonly string[];
  /** The pause between polls of objects that may not be watched. */
  statusSyncIntervalMs: number;
  /** Works that are applied at once. */
  workers: number;
  jsonRawBytesMax: number;
  nowMs: () => number;
  witness?: Witness | undefined;
  /** How fast things are done again, for tests that cannot wait for minutes. */
  pace?: Pace;
}

export interface WorkAgent extends AsyncDisposable {
  /** Why the agent is not in touch with its server; undefined if it is. */
  readiness(): string | undefined;
  /** How many AppliedManifestWorks stay though the server has not sent their works. */
  unclaimed(): number;
  /** What waits now; worked out when it is asked for. */
  backlog(): Backlog;
  /**
   * Ends passes and sends what they found, each within this time: for an end in order, before disposing. Resolves with
   * the ids of the works whose status was not sent.
   */
  finish(withinMs: number): Promise<string[]>;
}

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 60_000 };

/** The parts of one question of the server arrive together; one question of ours answers them all. */
const ASK_AGAIN_MS = 5_000;

/**
 * Starts the agent of one consumer.
 *
 * First it reads what its last life left on the cluster; only then events are taken from the broker, so that a
 * work is never applied or reported as if it were new.
 */
export async function startWorkAgent(
  kube: Kube,
  connect: (events: BrokerEvents) => Broker | Promise<Broker>,
  log: Logger,
  options: WorkAgentOptions,
): Promise<WorkAgent> {
  await using starting = new AsyncDisposableStack();
  const gate = Promise.withResolvers<BrokerEvents>();
  // A start that fails ends the broker; whoever waits at the gate is then gone as well.
  gate.promise.catch(() => {});
  const state: { events?: BrokerEvents; offline?: string } = { offline: "not connected yet" };
  const broker = starting.use(
    await connect({
      receive: async (event) => await (await gate.promise).receive(event),
      subscribed: async (connection) => await (await gate.promise).subscribed(connection),
      disconnected(reason) {
        state.offline = reason;
        state.events?.disconnected(reason);
      },
    }),
  );
  starting.defer(() => gate.reject(new MaestroError("unavailable", "the agent did not start")));

  const type = await installLedgerType(kube);
  const ledger = openLedger(kube, type, {
    hubName: options.hubName ?? broker.hubName,
    agentId: options.ownerId,
  });
  const { works, floor, unfinished, fence, strangers } = await recall(ledger, options.nowMs());
  const keeper = starting.use(createKeeper(works, ledger, () => passes.due > 0, log));
  const reporter: Reporter = options;
  const outbox: Outbox = starting.use(createOutbox({
    works,
    reporter,
    publish: broker.publish,
    nextSequence: createSequence(options.nowMs, floor),
    reported: (work) => keeper.touch(work.uid),
    ended: (work) => {
      works.delete(work.uid);
      reconciler.forget(work.uid);
    },
    nowMs: options.nowMs,
    log,
    meter: options.witness?.queue("report"),
  }));
  const watches = starting.use(
    startWatches(kube, (uid, ref, sighting) => reconciler.see(uid, ref, sighting), {
      pollMs: options.statusSyncIntervalMs,
      log,
    }),
  );
  const { nowMs, jsonRawBytesMax, witness } = options;
  const wake = (uid: string, delayMs: number) => passes.add(uid, delayMs);
  const alarms = starting.use(
    startAlarms(kube, wake, { pollMs: options.statusSyncIntervalMs, log }),
  );
  const executors = starting.use(createExecutors(kube, () => wakeDenied(works, wake), log));
  const common = { kube, ledger, fence, log, nowMs, jsonRawBytesMax, witness };
  const around = { ...common, watches, alarms, executors };
  const reconciler: Reconciler = createReconciler(around, works, {
    changed: (uid, pace) => outbox.mark(uid, pace),
    drifted: wake,
    passed: (work) => keeper.touch(work.uid),
  }, options.pace);
  const passes = starting.use(createKeyedQueue((key) => takeTurn(key, ledger, reconciler), {
    name: "apply",
    workers: options.workers,
    backoff: BACKOFF,
    log,
    meter: witness?.queue("apply"),
  }));
  const { statusSyncIntervalMs: pollMs } = options;
  starting.use(followLedger(kube, { ledger, works, passes }, { pollMs, log }));
  for (const entry of unfinished) passes.add(entryKey(entry));
  const teller = starting.use(tellUnclaimed({ ledger, works, strangers }, log));

  let askedAt = -Infinity;
  let isAnswered = false;
  /** What was missed with an earlier connection was not asked for yet. */
  let mustAsk = true;
  const server: Acquaintance = { isOurs: false };
  /**
   * What was held before the first event of a connection, if one comes before its resync is asked for. The server does
   * not believe that its event is held until that is reported, and would ask for the list.
   */
  let before: Map<string, CloudEvent | undefined> | undefined;
  const briefRequests = () =>
    new Map(options.dataTypes.map((type) => [type, briefResyncRequest(works, type, options)]));
  const resync = async (length: "brief" | "whole" = "whole") => {
    askedAt = performance.now();
    isAnswered = false;
    for (const dataType of options.dataTypes) {
      // Of which type an unclaimed one is nobody knows, and a peer's list of one type lacks those of another.
      const isOnly = options.dataTypes.length === 1;
      const unclaimed = isOnly ? unclaimedIds(ledger, works) : [];
      const mayBeBrief = length === "brief" && server.isOurs && unclaimed.length === 0;
      const brief = mayBeBrief ? (before ?? briefRequests()).get(dataType) : undefined;
      const { eventBytesMax } = broker;
      const requests = brief === undefined
        ? specResyncRequests(works, dataType, options, eventBytesMax, unclaimed)
        : [brief];
      for (const request of requests) await broker.publish(request);
    }
  };
  const heard = (subresource: EventType["subresource"]) => {
    if (subresource === "spec") isAnswered = true;
    else if (!isAnswered && performance.now() - askedAt > ASK_AGAIN_MS) {
      // A server asks when it has been away, and then our own question may have been lost.
      askAgain();
    }
  };
  const askAgain = () =>
    void resync().catch((error) => log.warn("cannot ask for a resync again", { error }));
  const digests = createDigestWatch({
    works,
    isQuiet: () => passes.size === 0 && outbox.isQuiet(),
    resync: askAgain,
    elapsedMs: () => performance.now(),
  });
  const tellAgain = () => {
    if (performance.now() - askedAt > ASK_AGAIN_MS) askAgain();
  };
  const ask = async (ids: string[]) => {
    for (const dataType of options.dataTypes) {
      const { eventBytesMax } = broker;
      const requests = specResyncRequests(new Map(), dataType, options, eventBytesMax, ids);
      for (const request of requests) await broker.publish(request);
    }
  };
  const doubts = starting.use(createDoubts({
    ledger,
    works,
    ask: (ids) => void ask(ids).catch((error) => log.warn("cannot ask about doubts", { error })),
  }));
  const reception = {
    works,
    doubts,
    fence,
    passes,
    outbox,
    digests,
    log,
    options,
    heard,
    tellAgain,
    tellAll: askAgain,
    server,
  };
  const opened: BrokerEvents = {
    receive(event) {
      if (state.offline !== undefined) before ??= briefRequests();
      return Promise.resolve(takeEvent(reception, event));
    },
    async subscribed({ isKept }) {
      doubts.connected();
      // A question that the last connection did not carry is still to be asked, whatever has been kept since.
      const isToAsk = mustAsk || !isKept;
      mustAsk = isToAsk;
      if (isToAsk) await resync("brief");
      mustAsk = false;
      delete state.offline;
      log.info("connected", { server: broker.hubName, works: works.size, resync: isToAsk });
      outbox.open();
      teller.connected();
    },
    disconnected(reason) {
      before = undefined;
      outbox.close();
      log.warn("disconnected", { server: broker.hubName, reason });
    },
  };
  state.events = opened;
  gate.resolve(opened);
  const running = starting.move();
  return {
    readiness: () => state.offline,
    unclaimed: () => unclaimedEntries(ledger, works).length,
    backlog: () => ({
      isConnected: state.offline === undefined,
      works: works.size,
      deletions: works.values().filter((work) => work.deletionTimestamp !== undefined)
        .reduce((sum) => sum + 1, 0),
      unclaimed: unclaimedEntries(ledger, works).length,
      passes: passes.state(),
      reports: outbox.backlog(),
    }),
    async finish(withinMs) {
      await Promise.race([passes[Symbol.asyncDispose](), Bun.sleep(withinMs)]);
      // A pass that is not over has nothing to say yet.
      const unsettled = [...works.values()].filter((work) => !work.isSettled && hasWord(work));
      return [...new Set([...unsettled.map(({ uid }) => uid), ...await outbox.flush(withinMs)])];
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
