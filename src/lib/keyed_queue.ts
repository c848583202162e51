/** Keyed jobs with a bound on how many run at once: one run per key, repeats merged, delays kept. */

import { backoffMs, type BackoffOptions } from "./backoff.ts";
import type { Logger } from "./log.ts";

export interface KeyedQueue extends AsyncDisposable {
  /** Asks for a run of this key, at once or after a delay; an earlier time wins. */
  add(key: string, delayMs?: number): void;
  /** Keys that run, wait or will be run later. */
  readonly size: number;
  /** Keys that run or could. */
  readonly due: number;
  /** How far behind the queue is. */
  state(): QueueState;
}

export interface QueueState {
  /** Keys that wait for a worker. */
  depth: number;
  running: number;
  /** How long the longest run under way has taken, in milliseconds; 0 without one. */
  longestRunMs: number;
  /** How long the runs under way have taken together. */
  runningMs: number;
}

/** Counts what a queue does. */
export interface QueueMeter {
  added(): void;
  retried(): void;
  /** A run has ended. */
  ran(waitedMs: number, tookMs: number): void;
}

export interface KeyedQueueOptions {
  name: string;
  /** Runs under way at once. */
  workers: number;
  /** The pauses of a key whose runs fail. */
  backoff: BackoffOptions;
  log: Logger;
  random?: () => number;
  meter?: QueueMeter | undefined;
}

/**
 * Creates a queue. `run` may return the milliseconds after which its key wants another run.
 *
 * A run that throws is logged and tried again with a growing pause; `add` without a delay cuts the pause short.
 */
export function createKeyedQueue(
  run: (key: string) => Promise<number | undefined>,
  { name, workers, backoff, log, random = Math.random, meter }: KeyedQueueOptions,
): KeyedQueue {
  /** Keys, and since when they wait or run. */
  const ready = new Map<string, number>();
  const running = new Map<string, number>();
  const again = new Set<string>();
  const timers = new Map<string, { timer: ReturnType<typeof setTimeout>; atMs: number }>();
  const failures = new Map<string, number>();
  let stopped = false;
  let drained: (() => void) | undefined;

  const cancelTimer = (key: string) => {
    const found = timers.get(key);
    if (found === undefined) return;
    clearTimeout(found.timer);
    timers.delete(key);
  };

  const enqueue = (key: string) => {
    if (ready.has(key)) return;
    ready.set(key, performance.now());
    meter?.added();
  };

  const add = (key: string, delayMs = 0) => {
    if (stopped) return;
    if (delayMs > 0) {
      const atMs = performance.now() + delayMs;
      const found = timers.get(key);
      if (ready.has(key) || (found !== undefined && found.atMs <= atMs)) return;
      cancelTimer(key);
      timers.set(key, { atMs, timer: setTimeout(() => add(key), delayMs) });
      return;
    }
    cancelTimer(key);
    if (running.has(key)) again.add(key);
    else enqueue(key);
    start();
  };

  const runOne = async (key: string, waitedMs: number) => {
    let delayMs: number | undefined;
    try {
      delayMs = await run(key);
      failures.delete(key);
    } catch (error) {
      const failed = failures.get(key) ?? 0;
      failures.set(key, failed + 1);
      meter?.retried();
      delayMs = Math.max(1, backoffMs(failed, backoff, random()));
      log.warn("run failed, trying again", { queue: name, key, delay_ms: delayMs, error });
    }
    meter?.ran(waitedMs, performance.now() - (running.get(key) ?? 0));
    running.delete(key);
    if (stopped) {
      if (running.size === 0) drained?.();
      return;
    }
    if (again.delete(key)) enqueue(key);
    else if (delayMs !== undefined) add(key, delayMs);
    start();
  };

  const start = () => {
    for (const [key, since] of ready) {
      if (running.size >= workers || stopped) return;
      const now = performance.now();
      ready.delete(key);
      running.set(key, now);
      // Never rejects: a failed run is logged and becomes a delay.
      void runOne(key, now - since);
    }
  };

  return {
    add,
    get due() {
      return ready.size + running.size;
    },
    get size() {
      return ready.size + running.size + timers.size;
    },
    state() {
      const now = performance.now();
      const tookMs = [...running.values()].map((since) => now - since);
      return {
        depth: ready.size,
        running: running.size,
        longestRunMs: Math.max(0, ...tookMs),
        runningMs: tookMs.reduce((sum, ms) => sum + ms, 0),
      };
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      ready.clear();
      if (running.size > 0) await new Promise<void>((resolve) => drained = resolve);
    },
  };
}
