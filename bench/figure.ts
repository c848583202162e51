/** One line of JSON for each figure: what it is, what it cost, and on what machine. */

import { readFileSync } from "node:fs";
import { cpus } from "node:os";

export interface Figure {
  /** The file that made it. */
  bench: string;
  /** The promise in `promises.ts` that it is held against, if any. */
  promise?: string;
  what: string;
  value: number;
  unit: string;
  n?: number;
  p50_ms?: number;
  p95_ms?: number;
  p99_ms?: number;
  /** CPU time for each operation. */
  server_cpu_ms?: number;
  postgres_cpu_ms?: number;
  /** Of the load generators: the cores are shared, so it lowers what is measured. */
  callers_cpu_ms?: number;
  agents_cpu_ms?: number;
  /** Of the MQTT broker. */
  broker_cpu_ms?: number;
  server_rss_peak_mb?: number;
  /** Whatever else explains the value. */
  [more: string]: unknown;
}

/** The machine, in a few words. */
export function describeMachine(): string {
  const all = cpus();
  return `${all.length} x ${all[0]?.model.trim() ?? "?"}, ${process.platform}, Bun ${Bun.version}`;
}

/** Prints a figure on standard output, with the command that made it and how busy the machine was. */
export function printFigure(figure: Figure): void {
  const [load = "?"] = readFileSync("/proc/loadavg", "utf8").split(" ");
  const [, path = "", ...args] = process.argv;
  const command = ["bun", path.slice(path.lastIndexOf("/bench/") + 1), ...args].join(" ");
  const line = {
    ...figure,
    value: rounded(figure.value),
    machine: describeMachine(),
    load,
    command,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Three digits that mean something. */
export function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

/** The middle one, or the lower of the two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that this share of all does not exceed; 0 of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
}
