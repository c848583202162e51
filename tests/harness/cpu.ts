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
  return childrenOf(parent).reduce(
    (total, pid) => total + cpuMs(pid),
    cpuMs(parent, "with ended children"),
  );
}

/** The processes that a process has started and that run still. */
export function childrenOf(parent: number): number[] {
  return readdirSync("/proc").map(Number).filter((pid) =>
    Number.isInteger(pid) && Number(statFields(pid)?.[1]) === parent
  );
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
