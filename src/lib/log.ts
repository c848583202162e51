/** Structured logging: one line an event, JSON for machines, short text for a terminal. */

export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export interface LoggerOptions {
  /** Lines below this level are dropped. */
  level: LogLevel;
  /** Short coloured text instead of JSON. */
  isTerminal: boolean;
  write: (line: string) => void;
}

/** Creates a logger. `write` gets whole lines, each with its line feed. */
export function createLogger(options: LoggerOptions, base: LogFields = {}): Logger {
  const threshold = LOG_LEVELS.indexOf(options.level);
  const format = options.isTerminal ? formatText : formatJson;
  const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(level) < threshold) return;
    options.write(format(level, message, { ...base, ...fields }) + "\n");
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => createLogger(options, { ...base, ...fields }),
  };
}

function formatJson(level: LogLevel, message: string, fields: LogFields): string {
  const line: LogFields = { time: new Date().toISOString(), level, message };
  for (const [key, value] of Object.entries(fields)) line[key] = printable(value);
  return JSON.stringify(line);
}

const COLOUR: Record<LogLevel, string> = { debug: "90", info: "32", warn: "33", error: "31" };

function formatText(level: LogLevel, message: string, fields: LogFields): string {
  const time = new Date().toISOString().slice(11, 23);
  const rest = Object.entries(fields)
    .map(([key, value]) => {
      const shown = printable(value);
      return ` \x1b[90m${key}=\x1b[0m${typeof shown === "string" ? shown : JSON.stringify(shown)}`;
    })
    .join("");
  return `\x1b[90m${time}\x1b[0m \x1b[${COLOUR[level]}m${level.padEnd(5)}\x1b[0m ${message}${rest}`;
}

function printable(value: unknown): unknown {
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : `; cause: ${String(value.cause)}`;
    return (value.stack ?? String(value)) + cause;
  }
  return typeof value === "bigint" ? value.toString() : value;
}
