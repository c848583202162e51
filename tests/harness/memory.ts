/** How much memory a process takes, on Linux. */

import { readFileSync } from "node:fs";

/** What is in memory now, the most that ever was, and what of it is the process's own (heaps and stacks), in MB. */
export interface Memory {
  now: number;
  peak: number;
  own: number;
}

/** The memory of a process; no numbers once it has ended. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const megabytes = (name: string) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1024;
  return { now: megabytes("VmRSS"), peak: megabytes("VmHWM"), own: megabytes("RssAnon") };
}
