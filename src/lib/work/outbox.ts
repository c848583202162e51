/**
 * Sends statuses to the server: each change once, nothing lost while the server is away.
 *
 * A status is not queued but marked: what is sent is the status at the time of sending. A confirmed deletion ends
 * the work.
 */

import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { CloudEvent } from "../wire/event.ts";
import { statusHash } from "../wire/status_hash.ts";
import type { BundleStatus } from "../wire/work_status.ts";
import { aggregate } from "./conditions.ts";
import { createKeyedQueue, type QueueMeter } from "../keyed_queue.ts";
import type { Works } from "./receive.ts";
import { encodeReport, presentStatus, type Reporter, shorterStatuses } from "./report.ts";
import type { ReportBacklog } from "./witness.ts";
import type { Work } from "./work.ts";

/** Changes of one work within this time travel together. */
const DEBOUNCE_MS = 50;
/** A status that goes on changing is told once a second, after some that are told at once. */
const PACE_MS = 1_000;
const BURST = 3;
/** A report is stored within this time, or its server has other worries. */
const QUIET_MS = 5_000;
/** Events under way at once: enough to hide the round trip. */
const PARALLEL_MAX = 16;

/** How often a flush looks whether it is over: a program that ends has nothing better to do. */
const FLUSH_POLL_MS = 10;

/** The ceiling is what a server that is back from an outage waits for the last of its reports. */
const BACKOFF = { firstMs: 200, factor: 2, ceilingMs: 10_000 };

export interface Outbox extends AsyncDisposable {
  /** The status of this work may have changed; it waits a moment for more unless it is urgent. */
  mark(uid: string, pace?: "urgent"): void;
  /** Sends the status even if the server has it, as the answer to its question. */
  answer(uid: string): void;
  /** There is a server again: everything that was marked is sent. */
  open(): void;
  /** The server is away: marks are kept. */
  close(): void;
  /** True if everything has been sent, and the server had time to store it. */
  isQuiet(): boolean;
  /**
   * Sends at once what has yet to be sent, until this much time has passed or the connection is gone. Resolves with the
   * ids of the works whose status was not sent.
   */
  flush(withinMs: number): Promise<string[]>;
  /** What has yet to be sent. */
  backlog(): ReportBacklog;
}

export interface OutboxOptions {
  works: Works;
  reporter: Reporter;
  publish: (event: CloudEvent) => Promise<void>;
  nextSequence: () => string;
  /** The server has the status. */
  reported: (work: Work) => void;
  /** The server knows that everything of this work is gone. */
  ended: (work: Work) => void;
  nowMs: () => number;
  log: Logger;
  meter?: QueueMeter | undefined;
}

/** Creates the outbox, closed. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { works, reporter, publish, nextSequence, reported, ended, nowMs, log } = options;
  const waiting = new Set<string>();
  const answers = new Set<string>();
  /** Since when the server has to hear of a work. */
  const since = new Map<string, number>();
  /** When the works that were reported lately have used up their turns. */
  const usedUntil = new Map<string, number>();
  let isOpen = false;
  let publishedAt = -Infinity;

  const useTurn = (uid: string) => {
    const now = performance.now();
    const untilMs = Math.max(now, usedUntil.get(uid) ?? 0) + PACE_MS;
    // Set anew, the last one to be looked at.
    usedUntil.delete(uid);
    usedUntil.set(uid, untilMs);
    for (const [other, atMs] of usedUntil) {
      // In the order of their last reports: the first that still counts ends the search.
      if (atMs > now) break;
      usedUntil.delete(other);
    }
  };
  /** How long the next report has to wait; one of a new version never does. */
  const turnInMs = (uid: string): number => {
    const work = works.get(uid);
    if (work === undefined || work.isGone || work.reportedVersion !== work.version) return 0;
    const used = usedUntil.get(uid) ?? -Infinity;
    return Math.max(0, used - BURST * PACE_MS - performance.now());
  };

  const send = async (uid: string): Promise<undefined> => {
    await sendOne(uid);
    if (!waiting.has(uid)) since.delete(uid);
  };

  const sendOne = async (uid: string): Promise<void> => {
    const work = works.get(uid);
    if (!isOpen || work === undefined) {
      if (work !== undefined) waiting.add(uid);
      return;
    }
    if (!work.isSettled && !work.isGone) return;
    if (!work.isGone) aggregate(work.conditions, work.slots, work.version, nowMs());
    const status = presentStatus(work, reporter.consumerName, nowMs());
    const hash = statusHash(status);
    const { version, mustReport, isGone } = work;
    const isAnswer = answers.has(uid);
    const isKnown = work.reportedHash === hash && work.reportedVersion === version;
    if (isKnown && !mustReport && !isAnswer && !isGone) return;
    const sequence = nextSequence();
    work.sequence = sequence;
    const encode = (shown: BundleStatus) =>
      encodeReport(work, shown, reporter, { sequence, hash, isAnswer });
    // Whoever asks while this one is on its way may have missed it, and is sent another.
    answers.delete(uid);
    work.mustReport = false;
    try {
      await publishWhatFits(status, encode);
    } catch (error) {
      if (isAnswer) answers.add(uid);
      if (mustReport) work.mustReport = true;
      waiting.add(uid);
      // Closed meanwhile: opening sends it. Otherwise the queue tries again.
      if (!isOpen) return;
      throw error;
    }
    publishedAt = performance.now();
    waiting.delete(uid);
    useTurn(uid);
    work.reportedHash = hash;
    work.reportedVersion = version;
    log.debug("reported", { resource_id: uid, version });
    // Another work with the same id may have begun while this one was ending.
    if (isGone && works.get(uid) === work) ended(work);
    else reported(work);
  };

  /** A status that is too large says so in a shorter one: the server would learn nothing otherwise. */
  const publishWhatFits = async (
    status: BundleStatus,
    encode: (shown: BundleStatus) => CloudEvent,
  ) => {
    let shorter: BundleStatus[] | undefined;
    for (let shown: BundleStatus | undefined = status; shown !== undefined;) {
      try {
        return await publish(encode(shown));
      } catch (error) {
        if (!(error instanceof MaestroError) || error.code !== "too_large") throw error;
        shorter ??= shorterStatuses(status, { reason: error.message, nowMs: nowMs() });
        shown = shorter.shift();
        if (shown === undefined) throw error;
        log.warn("the report is too large, saying less", { reason: error.message });
      }
    }
  };

  const queue = createKeyedQueue(send, {
    name: "report",
    workers: PARALLEL_MAX,
    backoff: BACKOFF,
    log,
    meter: options.meter,
  });
  const expect = (uid: string) => {
    if (!since.has(uid)) since.set(uid, performance.now());
  };

  return {
    mark(uid, pace) {
      expect(uid);
      const debounceMs = pace === "urgent" ? 0 : DEBOUNCE_MS;
      if (isOpen) queue.add(uid, Math.max(debounceMs, turnInMs(uid)));
      else waiting.add(uid);
    },
    answer(uid) {
      expect(uid);
      answers.add(uid);
      queue.add(uid);
    },
    open() {
      isOpen = true;
      for (const uid of waiting) queue.add(uid);
      waiting.clear();
    },
    close() {
      isOpen = false;
    },
    isQuiet: () =>
      isOpen && waiting.size === 0 && queue.size === 0 &&
      performance.now() - publishedAt > QUIET_MS,
    async flush(withinMs) {
      const deadline = performance.now() + withinMs;
      for (const uid of since.keys()) if (isOpen) queue.add(uid);
      while (isOpen && since.size > 0 && performance.now() < deadline) {
        await Bun.sleep(FLUSH_POLL_MS);
      }
      return [...since.keys()];
    },
    backlog() {
      // A map keeps its order: the first has waited for the longest.
      const [oldest] = since.values();
      const oldestMs = oldest === undefined ? 0 : performance.now() - oldest;
      return { ...queue.state(), waiting: since.size, oldestMs };
    },
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  };
}
