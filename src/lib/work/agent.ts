/**
 * The agent: receives works, applies them, removes what is no longer wanted, and reports.
 *
 * A work is received, then waits for a pass, then for news: a newer spec, an object that somebody changed, a
 * removed object that is finally gone. Each asks for another pass; nothing runs by the clock. What a watch sees
 * becomes the status at once, without a pass.
 */

import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { EventType } from "../wire/event_type.ts";
import { createSequence, isNewerSequence, isSequence } from "../wire/sequence.ts";
import type { Broker, BrokerEvents } from "./broker.ts";
import { installLedgerType } from "./crd.ts";
import { createDigestWatch } from "./digest.ts";
import { createFence } from "./fence.ts";
import { followType } from "./follow.ts";
import { createKeeper } from "./keep.ts";
import type { Kube } from "./kube_api.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import { createKeyedQueue, type KeyedQueue } from "../keyed_queue.ts";
import type { Works } from "./receive.ts";
import { takeEvent } from "./reception.ts";
import { createReconciler, type Reconciler } from "./reconcile.ts";
import { restoreWork } from "./record.ts";
import type { Reporter } from "./report.ts";
import { specResyncRequests } from "./resync.ts";
import { startWatches } from "./watches.ts";
import type { Backlog, Witness } from "./witness.ts";
import { metadataOf, textOf } from "./work.ts";

export interface WorkAgentOptions {
  consumerName: string;
  /** The `source` of the agent's events. */
  agentId: string;
  agentVersion: string;
  /** What to ask the server for after each connect. */
  dataTypes: readonly string[];
  /** The pause between polls of objects that may not be watched. */
  statusSyncIntervalMs: number;
  /** Works that are applied at once. */
  workers: number;
  jsonRawBytesMax: number;
  nowMs: () => number;
  witness?: Witness | undefined;
}

export interface WorkAgent extends AsyncDisposable {
  /** Why the agent is not in touch with its server; undefined if it is. */
  readiness(): string | undefined;
  /** What waits now; worked out when it is asked for. */
  backlog(): Backlog;
}

const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 60_000 };

/** The parts of one question of the server arrive together; one question of ours answers them all. */
const ASK_AGAIN_MS = 5_000;

/** How far the last sequence id may be ahead of the one on record, which is written a little later. */
const SEQUENCE_SLACK = 10_000n << 22n;

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
  const ledger = openLedger(kube, type, broker.hubName);
  const { works, floor, orphans, fence } = await recall(ledger, options.nowMs());
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
  const around = { kube, ledger, fence, watches, log, nowMs, jsonRawBytesMax, witness };
  const reconciler: Reconciler = createReconciler(around, works, {
    changed: (uid, pace) => outbox.mark(uid, pace),
    drifted: (uid, delayMs) => passes.add(uid, delayMs),
    passed: (work) => keeper.touch(work.uid),
  });
  const passes = starting.use(createKeyedQueue((uid) => turn(uid, ledger, reconciler), {
    name: "apply",
    workers: options.workers,
    backoff: BACKOFF,
    log,
    meter: witness?.queue("apply"),
  }));
  starting.use(followLedger(kube, ledger, works, passes, options, log));
  for (const workName of orphans) passes.add(ENTRY_PREFIX + workName);

  let askedAt = -Infinity;
  let isAnswered = false;
  const resync = async () => {
    askedAt = performance.now();
    isAnswered = false;
    for (const dataType of options.dataTypes) {
      const requests = specResyncRequests(works, dataType, options, broker.eventBytesMax);
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
  const reception = { works, fence, passes, outbox, digests, log, options, heard, tellAgain };
  const opened: BrokerEvents = {
    receive: (event) => Promise.resolve(takeEvent(reception, event)),
    async subscribed({ isKept }) {
      if (!isKept) await resync();
      delete state.offline;
      log.info("connected", { server: broker.hubName, works: works.size, resync: !isKept });
      outbox.open();
    },
    disconnected(reason) {
      outbox.close();
      log.warn("disconnected", { server: broker.hubName, reason });
    },
  };
  state.events = opened;
  gate.resolve(opened);
  const running = starting.move();
  return {
    readiness: () => state.offline,
    backlog: () => ({
      isConnected: state.offline === undefined,
      works: works.size,
      deletions: works.values().filter((work) => work.deletionTimestamp !== undefined)
        .reduce((sum) => sum + 1, 0),
      passes: passes.state(),
      reports: outbox.backlog(),
    }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Jobs for an AppliedManifestWork that was deleted and has no work any more. */
const ENTRY_PREFIX = "entry:";
const ORPHAN_POLL_MS = 5_000;

async function turn(
  key: string,
  ledger: Ledger,
  reconciler: Reconciler,
): Promise<number | undefined> {
  if (!key.startsWith(ENTRY_PREFIX)) return await reconciler.reconcile(key);
  const entry = ledger.get(key.slice(ENTRY_PREFIX.length));
  if (entry === undefined || !entry.isDeleting) return undefined;
  return await reconciler.finalise(entry) ? undefined : ORPHAN_POLL_MS;
}

/** What the last life knew: its works, its last sequence id, and deletions that it had begun. */
async function recall(ledger: Ledger, nowMs: number) {
  const works: Works = new Map();
  const orphans: string[] = [];
  let last: string | undefined;
  const { works: loaded, deletedUntil } = await ledger.load();
  for (const { entry, record } of loaded) {
    if (entry.isDeleting) orphans.push(entry.workName);
    if (record === undefined) continue;
    works.set(record.uid, restoreWork(record, entry.workName));
    const { sequence } = record;
    if (sequence !== undefined && isSequence(sequence) && isNewerSequence(sequence, last)) {
      last = sequence;
    }
  }
  const floor = last === undefined ? undefined : (BigInt(last) + SEQUENCE_SLACK).toString();
  const fence = createFence({ deletedUntil, keep: ledger.keepDeletedUntil }, nowMs);
  return { works, orphans, floor, fence };
}

/** Notices when somebody deletes an AppliedManifestWork by hand. */
function followLedger(
  kube: Kube,
  ledger: Ledger,
  works: Works,
  passes: KeyedQueue,
  { statusSyncIntervalMs }: WorkAgentOptions,
  log: Logger,
): AsyncDisposable {
  const wake = (workName: string | undefined) => {
    if (workName === undefined) return;
    const work = [...works.values()].find(({ name }) => name === workName);
    passes.add(work?.uid ?? ENTRY_PREFIX + workName);
  };
  const nameOf = (object: Parameters<typeof metadataOf>[0]) => textOf(metadataOf(object), "name");
  const follower = {
    listed() {
      // What was deleted while nobody watched is noticed when its work is applied next.
    },
    changed: (object: Parameters<typeof metadataOf>[0]) =>
      wake(ledger.observe(nameOf(object), object)),
    deleted: (object: Parameters<typeof metadataOf>[0]) =>
      wake(ledger.observe(nameOf(object), undefined)),
    poll: () => Promise.resolve(),
  };
  return followType(kube, ledger.type, "", follower, {
    metadataOnly: true,
    pollMs: statusSyncIntervalMs,
    log,
  });
}
