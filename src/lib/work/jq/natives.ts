/** Functions of jq that are not written in jq: those that need paths, order, or more than one result. */

import { isObject, parseJson } from "../../json.ts";
import type { Node } from "./ast.ts";
import type { Native, Place, Places, Runner } from "./evaluate.ts";
import { stepsOf } from "./evaluate.ts";
import { formatAs } from "./formats.ts";
import { deletePaths, getPath, indexesOf, type Step, stepInto, updatePath } from "./paths.ts";
import { regexNatives } from "./regexes.ts";
import {
  bounded,
  calculate,
  compare,
  JqError,
  numberOf,
  show,
  splitText,
  toText,
  typeOf,
} from "./values.ts";

type Plain = (input: unknown, ...args: unknown[]) => unknown;

/** A function of values: called once for each combination of its arguments. */
function plain(call: Plain): Native {
  return function* (run, { value }, args, names) {
    for (const given of run.product(args, value, names)) {
      const result = call(value, ...given);
      run.charge(Array.isArray(result) ? 1 + result.length : 1);
      yield { value: result };
    }
  };
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new JqError(`${name} cannot be applied to: ${show(value)}`);
  return value;
}

function list(value: unknown, name: string): unknown[] {
  if (!Array.isArray(value)) throw new JqError(`${name} cannot be applied to: ${show(value)}`);
  return value;
}

function number(value: unknown, name: string): number {
  if (typeOf(value) !== "number") throw new JqError(`${name} cannot be applied to: ${show(value)}`);
  return numberOf(value);
}

function lengthOf(value: unknown): unknown {
  if (typeof value === "string") return [...value].length;
  if (Array.isArray(value)) return value.length;
  if (isObject(value)) return Object.keys(value).length;
  if (typeof value === "boolean") throw new JqError(`${show(value)} has no length`);
  return value === null ? 0 : Math.abs(numberOf(value));
}

function keys(value: unknown): unknown[] {
  if (!Array.isArray(value) && !isObject(value)) throw new JqError(`${show(value)} has no keys`);
  return [...stepsOf(value)];
}

function has(value: unknown, key: unknown): boolean {
  if (isObject(value) && typeof key === "string") return Object.hasOwn(value, key);
  if (Array.isArray(value) && typeOf(key) === "number") {
    return numberOf(key) >= 0 && numberOf(key) < value.length;
  }
  throw new JqError(`cannot check whether ${typeOf(value)} has a ${typeOf(key)} key`);
}

function contains(a: unknown, b: unknown): boolean {
  if (typeof a === "string" && typeof b === "string") return a.includes(b);
  if (Array.isArray(a) && Array.isArray(b)) {
    return b.every((wanted) =>
      a.some((item) => typeOf(item) === typeOf(wanted) && contains(item, wanted))
    );
  }
  if (isObject(a) && isObject(b)) {
    return Object.entries(b).every(([key, wanted]) => {
      const item = a[key];
      return Object.hasOwn(a, key) && typeOf(item) === typeOf(wanted) && contains(item, wanted);
    });
  }
  if (typeOf(a) === typeOf(b)) return compare(a, b) === 0;
  throw new JqError(`${show(a)} and ${show(b)} cannot have their containment checked`);
}

function indices(value: unknown, part: unknown): unknown {
  if (value === null) return null;
  if (typeof value === "string" && typeof part === "string") {
    return indexesOf([...value], [...part]);
  }
  if (Array.isArray(value)) return indexesOf(value, Array.isArray(part) ? part : [part]);
  throw new JqError(`cannot determine indices of ${typeOf(part)} in ${typeOf(value)}`);
}

function flatten(value: unknown, depth: unknown = Infinity): unknown[] {
  if (numberOf(depth) < 0) throw new JqError("flatten depth must not be negative");
  return list(value, "flatten").flatMap((item) =>
    Array.isArray(item) && numberOf(depth) > 0 ? flatten(item, numberOf(depth) - 1) : [item]
  );
}

function toNumber(value: unknown): unknown {
  if (typeOf(value) === "number") return value;
  if (typeof value !== "string" || !/^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) {
    throw new JqError(`${show(value)} cannot be parsed as a number`);
  }
  return /^-?\d+$/.test(value) ? parseJson(value.replace(/^(-?)0+(?=\d)/, "$1")) : Number(value);
}

function fromText(value: unknown): unknown {
  try {
    return parseJson(text(value, "fromjson"));
  } catch (cause) {
    if (cause instanceof JqError) throw cause;
    throw new JqError(`${show(value)} cannot be parsed as JSON`);
  }
}

function join(value: unknown, separator: unknown): string {
  const parts = list(value, "join").map((item) => {
    if (item === null) return "";
    return typeof item === "string"
      ? item
      : typeof item === "object" && typeOf(item) !== "number"
      ? String(calculate("+", "", item))
      : toText(item);
  });
  const glue = parts.length === 0 ? "" : text(separator, "join");
  bounded(parts.reduce((length, part) => length + part.length + glue.length, 0));
  return parts.join(glue);
}

function setAll(value: unknown, paths: unknown): unknown {
  return deletePaths(
    value,
    list(paths, "delpaths").map((path) => list(path, "delpaths") as Step[]),
  );
}

const add: Plain = (value) => {
  const members = isObject(value) ? Object.values(value) : list(value, "add");
  return members.reduce((sum, item) => calculate("+", sum, item), null);
};

const sortBy: Native = function* (run, input, [key], names) {
  yield { value: keyed(run, input, key as Node, names).map(({ item }) => item) };
};

type Keyed = { item: unknown; key: unknown[] };

/** The members with their keys, in the order of these. */
function keyed(run: Runner, { value }: Place, key: Node, names: Parameters<Native>[3]): Keyed[] {
  const members = list(value, "sort_by");
  run.charge(members.length);
  return members
    .map((item): Keyed => ({ item, key: [...run.values(key, item, names)] }))
    .sort((a, b) => compare(a.key, b.key));
}

const groupBy: Native = function* (run, input, [key], names) {
  const groups: Keyed[][] = [];
  for (const found of keyed(run, input, key as Node, names)) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && compare(last[0].key, found.key) === 0) last.push(found);
    else groups.push([found]);
  }
  yield { value: groups.map((group) => group.map(({ item }) => item)) };
};

const path: Native = function* (run, { value }, [filter], names) {
  for (const place of run.run(filter as Node, { value, path: [] }, names)) {
    yield { value: place.path ?? [] };
  }
};

const del: Native = function* (run, { value }, [filter], names) {
  const found = [...run.run(filter as Node, { value, path: [] }, names)];
  yield { value: deletePaths(value, found.map((place) => place.path ?? [])) };
};

const getpath: Native = function* (run, input, [wanted], names) {
  for (const steps of run.values(wanted as Node, input.value, names)) {
    const given = list(steps, "getpath") as Step[];
    const value = getPath(input.value, given);
    yield input.path === undefined ? { value } : { value, path: [...input.path, ...given] };
  }
};

const recurse: Native = function* (run, input) {
  const stack = [input];
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    yield place;
    const { value } = place;
    if (!Array.isArray(value) && !isObject(value)) continue;
    const here = place;
    stack.push(...stepsOf(value).map((step) => run.step(here, step)).reverse());
  }
};

const range: Native = function* (run, { value }, args, names) {
  for (const given of run.product(args, value, names)) {
    const [first = 0, last, pace = 1] = given.map((one) => number(one, "range"));
    const [from, until] = last === undefined ? [0, first] : [first, last];
    if (pace === 0 && from < until) throw new JqError("range with a pace of zero never ends");
    for (let at = from; pace > 0 ? at < until : pace < 0 && at > until; at += pace) {
      run.charge(1);
      yield { value: at };
    }
  }
};

const limit: Native = function* (run, input, [count, filter], names) {
  for (const given of run.values(count as Node, input.value, names)) {
    let left = number(given, "limit");
    if (left <= 0) continue;
    for (const place of run.run(filter as Node, input, names)) {
      yield place;
      if (--left <= 0) break;
    }
  }
};

const first: Native = function* (run, input, [filter], names) {
  for (const place of run.run(filter as Node, input, names)) {
    yield place;
    return;
  }
};

function* raise(value: unknown): Places {
  yield* [];
  throw new JqError(typeof value === "string" ? value : `${toText(value)} (not a string)`, value);
}

const error: Native = function* (run, { value }, [message], names) {
  if (message === undefined) return yield* raise(value);
  for (const given of run.values(message, value, names)) yield* raise(given);
};

/** Texts with filters in them, and formats on their own. */
const formatText: Native = function* (run, { value }, [node], names) {
  if (node?.kind === "format") return void (yield { value: formatAs(node.format, value) });
  if (node?.kind !== "text") throw new JqError("no format");
  const filters = node.parts.filter((part) => typeof part !== "string");
  for (const given of run.product(filters, value, names)) {
    let index = 0;
    const parts = node.parts.map((part) =>
      typeof part === "string" ? part : formatAs(node.format, given[index++])
    );
    yield { value: parts.join("") };
  }
};

const MATH: Record<string, (value: number) => number> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round: Math.round,
  trunc: Math.trunc,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
};

/** All native functions by name and number of arguments. */
export const natives: ReadonlyMap<string, Native> = new Map<string, Native>([
  ["empty/0", function* () {}],
  ["error/0", error],
  ["error/1", error],
  ["path/1", path],
  ["del/1", del],
  ["getpath/1", getpath],
  ["recurse/0", recurse],
  ["range/1", range],
  ["range/2", range],
  ["range/3", range],
  ["limit/2", limit],
  ["first/1", first],
  ["sort_by/1", sortBy],
  ["group_by/1", groupBy],
  ["format text", formatText],
  ...Object.entries<Plain>({
    "not/0": (value) => value === null || value === false,
    "length/0": lengthOf,
    "utf8bytelength/0": (value) => Buffer.byteLength(text(value, "utf8bytelength")),
    "keys/0": keys,
    "keys_unsorted/0": (value) => isObject(value) ? Object.keys(value) : keys(value),
    "has/1": has,
    "contains/1": contains,
    "indices/1": indices,
    "add/0": add,
    "type/0": typeOf,
    "abs/0": (value) => Math.abs(number(value, "abs")),
    "tojson/0": toText,
    "fromjson/0": fromText,
    "tostring/0": (value) => typeof value === "string" ? value : toText(value),
    "tonumber/0": toNumber,
    "sort/0": (value) => list(value, "sort").toSorted(compare),
    "reverse/0": (value) =>
      typeof value === "string"
        ? [...value].reverse().join("")
        : (value === null ? [] : list(value, "reverse")).toReversed(),
    "startswith/1": (value, part) => text(value, "startswith").startsWith(text(part, "startswith")),
    "endswith/1": (value, part) => text(value, "endswith").endsWith(text(part, "endswith")),
    "ltrimstr/1": (value, part) =>
      typeof value === "string" && typeof part === "string" && value.startsWith(part)
        ? value.slice(part.length)
        : value,
    "rtrimstr/1": (value, part) =>
      typeof value === "string" && typeof part === "string" && part !== "" && value.endsWith(part)
        ? value.slice(0, -part.length)
        : value,
    "trim/0": (value) => text(value, "trim").trim(),
    "ltrim/0": (value) => text(value, "ltrim").trimStart(),
    "rtrim/0": (value) => text(value, "rtrim").trimEnd(),
    "explode/0": (value) => [...text(value, "explode")].map((char) => char.codePointAt(0)),
    "implode/0": (value) =>
      list(value, "implode").map((point) => String.fromCodePoint(number(point, "implode"))).join(
        "",
      ),
    "split/1": (value, separator) => splitText(text(value, "split"), text(separator, "split")),
    "join/1": join,
    "ascii_downcase/0": (value) =>
      text(value, "ascii_downcase").replace(/[A-Z]/g, (char) => char.toLowerCase()),
    "ascii_upcase/0": (value) =>
      text(value, "ascii_upcase").replace(/[a-z]/g, (char) => char.toUpperCase()),
    "flatten/0": flatten,
    "flatten/1": flatten,
    "setpath/2": (value, steps, inner) => updatePath(value, list(steps, "setpath"), () => inner),
    "delpaths/1": setAll,
    "infinite/0": () => Infinity,
    "nan/0": () => NaN,
    "isnan/0": (value) => Number.isNaN(number(value, "isnan")),
    "isinfinite/0": (value) => Math.abs(number(value, "isinfinite")) === Infinity,
    "pow/2": (_, base, exponent) => Math.pow(number(base, "pow"), number(exponent, "pow")),
    "to_entries/0": (value) => keys(value).map((key) => ({ key, value: stepInto(value, key) })),
  }).map(([name, call]): [string, Native] => [name, plain(call)]),
  ...Object.entries(MATH).map(([name, call]): [string, Native] => [
    `${name}/0`,
    plain((value) => call(number(value, name))),
  ]),
  ...regexNatives,
]);
