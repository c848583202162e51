/** What Prometheus expects of every process, read from the kernel when somebody asks. */

import { readdirSync, readFileSync } from "node:fs";
import { VERSION } from "../version.ts";
import type { Exposition } from "./exposition.ts";

/** What the kernel counts processor time in (`man 5 proc`); Linux shows it as this everywhere. */
const TICKS_A_SECOND = 100;
const KIBIBYTE = 1024;

/** Adds `process_*` to an exposition; nothing is read between two scrapes. */
export function registerFootprint({ gauge, total }: Exposition): void {
  const once = (value: () => number) => () => {
    try {
      return [{ value: value() }];
    } catch {
      // Another system than Linux has no such files; the metric is then absent, not wrong.
      return [];
    }
  };
  total(
    "process_cpu_seconds_total",
    "Processor time that was used.",
    once(() => {
      const fields = statOf("/proc/self/stat");
      return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
    }),
  );
  gauge("process_resident_memory_bytes", "Memory that is in use.", once(() => memory("VmRSS")));
  gauge("process_virtual_memory_bytes", "Memory that is addressed.", once(() => memory("VmSize")));
  gauge("process_open_fds", "Open files.", once(() => readdirSync("/proc/self/fd").length));
  gauge(
    "process_max_fds",
    "Files that may be open.",
    once(() => Number(/Max open files\s+(\d+)/.exec(read("/proc/self/limits"))?.[1])),
  );
  gauge(
    "process_start_time_seconds",
    "When the process began, as seconds since 1970.",
    once(() => {
      const [, bootedAt] = /^btime (\d+)$/m.exec(read("/proc/stat")) ?? [];
      return Number(bootedAt) + Number(statOf("/proc/self/stat")[19]) / TICKS_A_SECOND;
    }),
  );
  gauge(
    "maestro_agent_build_info",
    "1, labelled with the version.",
    () => [{ labels: { version: VERSION }, value: 1 }],
  );
}

/** The fields after the program's name, which may hold blanks itself. */
function statOf(path: string): string[] {
  const text = read(path);
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function memory(name: string): number {
  const [, kibibytes] =
    new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(read("/proc/self/status")) ??
      [];
  return Number(kibibytes) * KIBIBYTE;
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
