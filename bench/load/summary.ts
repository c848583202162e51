/** What a load generator has seen, in few numbers. */

import { quantile } from "../figure.ts";

/** How a task went. Times are milliseconds, and of the same clock in every process. */
export interface Outcome {
  count: number;
  startedAt: number;
  endedAt: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  /** What the load generator itself has used. */
  cpuMs: number;
  /** The first failure; there must be none. */
  failure?: string;
}

/** Milliseconds of a clock that all processes share. */
export const now = (): number => performance.timeOrigin + performance.now();

/** Sums up what has ended just now. */
export function summary(latencies: readonly number[], startedAt: number): Outcome {
  return {
    count: latencies.length,
    startedAt,
    endedAt: now(),
    p50Ms: quantile(latencies, 0.5),
    p95Ms: quantile(latencies, 0.95),
    p99Ms: quantile(latencies, 0.99),
    cpuMs: 0,
  };
}

export function pick<T>(list: readonly T[], n: number): T {
  return list[n % list.length] as T;
}
