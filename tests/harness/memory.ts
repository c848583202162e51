/** How much memory a process takes, on Linux. */

import { readFileSync } from "node:fs";

/** What is in memory now, and the most that ever was, in MB; not numbers once the process has ended. */
export function memoryOf(pid: number): { now: number; peak: number } {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const megabytes = (name: string) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1]) / 1024;
  return { now: megabytes("VmRSS"), peak: megabytes("VmHWM") };
}
