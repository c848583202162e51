/** What Prometheus expects of every process, read from the kernel when somebody asks. */

import { readdirSync, readFileSync } from "node:fs";
import { Gauge, type Registry } from "prom-client";
import { VERSION } from "../version.ts";

/** What the kernel counts processor time in (`man 5 proc`); Linux shows it as this everywhere. */
const TICKS_A_SECOND = 100;
const KIBIBYTE = 1024;

/** Adds `process_*` to a registry; nothing is read between two scrapes. */
export function registerFootprint(registry: Registry): void {
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        try {
          this.set(value());
        } catch {
          // Another system than Linux has no such files; the metric is then absent, not wrong.
          this.remove();
        }
      },
    });
  gauge("process_cpu_seconds_total", "Processor time that was used.", () => {
    const fields = statOf("/proc/self/stat");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  });
  gauge("process_resident_memory_bytes", "Memory that is in use.", () => memory("VmRSS"));
  gauge("process_virtual_memory_bytes", "Memory that is addressed.", () => memory("VmSize"));
  gauge("process_open_fds", "Open files.", () => readdirSync("/proc/self/fd").length);
  gauge(
    "process_max_fds",
    "Files that may be open.",
    () => Number(/Max open files\s+(\d+)/.exec(read("/proc/self/limits"))?.[1]),
  );
  gauge("process_start_time_seconds", "When the process began, as seconds since 1970.", () => {
    const [, bootedAt] = /^btime (\d+)$/m.exec(read("/proc/stat")) ?? [];
    return Number(bootedAt) + Number(statOf("/proc/self/stat")[19]) / TICKS_A_SECOND;
  });
  new Gauge({
    name: "maestro_agent_build_info",
    help: "1, labelled with the version.",
    labelNames: ["version"],
    registers: [registry],
  }).set({ version: VERSION }, 1);
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
