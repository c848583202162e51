/** Flags of Go programs' logging, which scripts and charts pass. */

import { boolean, type Flag, type FlagTable, optionalText } from "./flags.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";

/** From here on klog tells what our `debug` tells. */
const DEBUG_VERBOSITY = 4;

const MEANING = "without effect: the log goes to standard error, as JSON";
const text = optionalText("value", MEANING);
const flag = boolean("off", MEANING);

/** The flags of klog and of library-go's command, each accepted. */
export const KLOG_FLAGS = {
  "v": verbosity(),
  "vmodule": text,
  "add-dir-header": flag,
  "alsologtostderr": flag,
  "log-backtrace-at": text,
  "log-dir": text,
  "log-file": text,
  "log-file-max-size": text,
  "log-flush-frequency": text,
  "log-json-info-buffer-size": text,
  "log-json-split-stream": flag,
  "log-text-info-buffer-size": text,
  "log-text-split-stream": flag,
  "logging-format": text,
  "logtostderr": flag,
  "one-output": flag,
  "skip-headers": flag,
  "skip-log-headers": flag,
  "stderrthreshold": text,
} satisfies FlagTable;

/** The level that `--log-level` gives, else the one that `-v` asks for. */
export function logLevelOf(level: LogLevel | undefined, verbosity: number | undefined): LogLevel {
  return level ?? ((verbosity ?? 0) >= DEBUG_VERBOSITY ? "debug" : "info");
}

/** Go takes `--log_dir` for `--log-dir`. */
export function withDashes(arg: string): string {
  const [name = "", ...value] = arg.split("=");
  return name.startsWith("--") ? [name.replaceAll("_", "-"), ...value].join("=") : arg;
}

/** A log level, or none. */
export function optionalLevel(meaning: string): Flag<LogLevel | undefined> {
  return {
    ...{ value: LOG_LEVELS.join("|"), shown: "", meaning, fallback: undefined },
    parse(given) {
      const found = LOG_LEVELS.find((level) => level === given);
      if (found !== undefined) return found;
      throw new Error(`expected ${LOG_LEVELS.map((level) => `"${level}"`).join(" or ")}`);
    },
  };
}

function verbosity(): Flag<number | undefined> {
  return {
    value: "level",
    shown: "",
    meaning: "as klog's: 4 and more is --log-level=debug",
    fallback: undefined,
    parse(given) {
      if (/^-?\d+$/.test(given)) return Number(given);
      throw new Error("expected a whole number");
    },
  };
}
