/**
 * Reads a table of settings from the command line and the environment.
 *
 * The table is the only place where a setting is described: it parses, it prints the help, and a test
 * holds the README against it. Spellings are those of Go's flag libraries, since users' scripts have
 * them: `--name=value`, `--name value`, and for booleans `--name` and `--name=false`.
 */

import { TIMER_MS_MAX } from "./call_at.ts";
import { MaestroError } from "./errors.ts";

export interface Flag<T> {
  /** Shown in the help: `url`, `seconds`, `file`; empty for a boolean. */
  value: string;
  /** The default as the help prints it; empty if there is none. */
  shown: string;
  meaning: string;
  /** Returns undefined if the flag has no default and was not given. */
  fallback: T;
  /** Throws a text that says what was expected. */
  parse: (text: string) => T;
  /** Given several times, the values are joined by commas; otherwise the last one counts. */
  isList?: boolean;
}

// deno-lint-ignore no-explicit-any
export type FlagTable = Record<string, Flag<any>>;
export type FlagValues<Table extends FlagTable> = {
  [Name in keyof Table]: Table[Name] extends Flag<infer T> ? T : never;
};

/** A setting that is text. */
export function text(value: string, fallback: string, meaning: string): Flag<string> {
  return { value, shown: fallback, meaning, fallback, parse: (given) => given };
}

/** A setting that is text or absent. */
export function optionalText(value: string, meaning: string): Flag<string | undefined> {
  return { value, shown: "", meaning, fallback: undefined, parse: (given) => given };
}

/** The address of something on the web, or absent. */
export function optionalUrl(meaning: string): Flag<string | undefined> {
  return {
    ...optionalText("url", meaning),
    parse(given) {
      if (/^https?:/.test(given) && URL.canParse(given)) return given;
      throw expected("an address such as https://example.com/keys");
    },
  };
}

/** A setting of several texts, divided by commas or given several times. */
export function list(value: string, meaning: string): Flag<string[]> {
  const parse = (given: string) => given.split(",").filter((part) => part !== "");
  return { value, shown: "", meaning, fallback: [], parse, isList: true };
}

/** A setting that is true or false. */
export function boolean(normally: "on" | "off", meaning: string): Flag<boolean> {
  const isOn = normally === "on";
  return {
    value: "",
    shown: String(isOn),
    meaning,
    fallback: isOn,
    parse: (given) => {
      if (/^(true|t|1|yes)$/i.test(given)) return true;
      if (/^(false|f|0|no)$/i.test(given)) return false;
      throw expected("true or false");
    },
  };
}

/** A whole number from `min` to `max`. */
export function integer(
  value: string,
  fallback: number,
  limits: { min: number; max: number },
  meaning: string,
): Flag<number> {
  return {
    value,
    shown: String(fallback),
    meaning,
    fallback,
    parse: (given) => {
      // To JavaScript nothing is 0, which as a port would be any.
      const number = given.trim() === "" ? NaN : Number(given);
      if (Number.isInteger(number) && number >= limits.min && number <= limits.max) return number;
      throw expected(`a whole number from ${limits.min} to ${limits.max}`);
    },
  };
}

/** A port; 0 lets the system choose. */
export function port(fallback: number, meaning: string): Flag<number> {
  return integer("port", fallback, { min: 0, max: 65_535 }, meaning);
}

/** A duration as Go writes it (`1m30s`, `500ms`) or in plain seconds; the value is in milliseconds. */
export function duration(fallback: string, meaning: string): Flag<number> {
  return {
    value: "duration",
    shown: fallback,
    meaning,
    fallback: parseDurationMs(fallback),
    parse: parseDurationMs,
  };
}

/** A duration that a timer runs with: a pause of nothing would keep it busy, and so would one too long. */
export function positive(flag: Flag<number>): Flag<number> {
  return {
    ...flag,
    parse(given) {
      const ms = flag.parse(given);
      if (ms > 0 && ms <= TIMER_MS_MAX) return ms;
      throw expected("a duration of more than nothing and less than 24 days");
    },
  };
}

/** One of a closed list. */
export function choice<T extends string>(
  choices: readonly T[],
  fallback: T,
  meaning: string,
): Flag<T> {
  return {
    value: choices.join("|"),
    shown: fallback,
    meaning,
    fallback,
    parse: (given) => {
      const found = choices.find((choice) => choice === given);
      if (found !== undefined) return found;
      throw expected(choices.map((choice) => `"${choice}"`).join(" or "));
    },
  };
}

/** What a `parse` throws: the sentence after the colon. */
export function expected(what: string): MaestroError {
  return new MaestroError("invalid_argument", `expected ${what}`);
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a Go duration, or of a plain number of seconds. */
export function parseDurationMs(given: string): number {
  if (/^\d+$/.test(given)) return Number(given) * 1000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(given)) {
    throw expected('a duration such as "30s" or "1m30s"');
  }
  let totalMs = 0;
  for (const [, number, unit = "s"] of given.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    totalMs += Number(number) * (UNIT_MS[unit] ?? 0);
  }
  return Math.round(totalMs);
}

/** The name of the environment variable that stands for a flag: `MAESTRO_` and capitals. */
export function environmentName(flag: string): string {
  return `MAESTRO_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads every setting of the table; the command line wins over the environment.
 *
 * Throws one `invalid_argument` that names the flag, what it was and what was expected. Arguments
 * that are not flags are returned as `rest`.
 */
export function parseFlags<Table extends FlagTable>(
  table: Table,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): { values: FlagValues<Table>; rest: string[] } {
  const given = new Map<string, string>();
  const rest: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--") {
      rest.push(...args.slice(index + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      rest.push(arg);
      continue;
    }
    const [, name = "", inline] = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    const flag = Object.hasOwn(table, name) ? table[name] : undefined;
    if (flag === undefined) throw unknownFlag(arg, name, table);
    const before = given.get(name);
    const take = (value: string) =>
      given.set(name, flag.isList && before !== undefined ? `${before},${value}` : value);
    if (inline !== undefined) take(inline);
    else if (flag.value === "") take("true");
    else if (index + 1 < args.length) take(args[++index] ?? "");
    else throw new MaestroError("invalid_argument", `Cannot read --${name}: its value is missing`);
  }
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table)) {
    const fromEnvironment = env[environmentName(name)];
    const value = given.get(name) ?? fromEnvironment;
    const origin = given.has(name) ? `--${name}` : environmentName(name);
    values[name] = value === undefined ? flag.fallback : read(flag, value, origin);
  }
  return { values: values as FlagValues<Table>, rest };
}

function read(flag: FlagTable[string], value: string, origin: string): unknown {
  try {
    return flag.parse(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MaestroError("invalid_argument", `Cannot read ${origin} "${value}": ${reason}`, {
      cause,
    });
  }
}

function unknownFlag(arg: string, name: string, table: FlagTable): MaestroError {
  const near = Object.keys(table).find((known) => known.includes(name) || name.includes(known));
  const hint = near === undefined ? "see --help" : `did you mean --${near}?`;
  return new MaestroError("invalid_argument", `Unknown flag "${arg}": ${hint}`);
}

/** The help text of a table: a line per flag with its default, aligned. */
export function describeFlags(table: FlagTable): string {
  const rows = Object.entries(table).map(([name, flag]) => {
    const left = flag.value === "" ? `--${name}` : `--${name} <${flag.value}>`;
    const shown = flag.shown === "" ? "" : ` (default ${flag.shown})`;
    return [left, flag.meaning + shown] as const;
  });
  const width = Math.min(Math.max(...rows.map(([left]) => left.length)), 44);
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}
