/** How much CPU time processes have used, on Linux. */

import { readdirSync, readFileSync } from "node:fs";

const CLOCK_TICK_MS = 10;

/** The CPU time that a process has used so far, in milliseconds. */
export function cpuMs(pid: number, which: "alone" | "with ended children" = "alone"): number {
  const fields = statFields(pid) ?? [];
  const ticks = fields.slice(11, which === "alone" ? 13 : 15);
  return ticks.reduce((sum, text) => sum + Number(text), 0) * CLOCK_TICK_MS;
}

/** Of a process and its children: PostgreSQL is one for each connection, and one that has ended counts for its parent. */
export function familyCpuMs(parent: number): number {
  let total = cpuMs(parent, "with ended children");
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    if (fields !== undefined && Number(fields[1]) === parent) total += cpuMs(Number(name));
  }
  return total;
}

/** The fields of /proc/<pid>/stat from the third on; undefined if the process has ended. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
