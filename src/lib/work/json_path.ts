/**
 * JSONPath as kubectl speaks it.
 *
 * A path is a chain of fields, indexes, slices, wildcards, filters and recursive descents. Missing fields give
 * no result; an index beyond a list is an error. Integers keep all their digits (`lib/json.ts`).
 */

import { isObject, keepNumber, rawNumber } from "../json.ts";

/** A number with a fraction is a `number`, one without a `bigint`: the two cannot be compared. */
type Literal = string | number | bigint | boolean;

/** One step of a path, as `parseJsonPath` reads it. */
export type Step =
  | { kind: "field"; name: string; path?: Step[] }
  | { kind: "identifier"; name: string }
  | { kind: "wildcard" }
  | { kind: "recursive" }
  | { kind: "slice"; start?: number; end?: number; step?: number; isIndex: boolean }
  | { kind: "union"; paths: Step[][] }
  | { kind: "filter"; left: Operand; operator: string; right?: Operand };

type Operand = { literal: unknown } | { path: Step[] };

const WORD_END = /[\s.[\]{}()"'=<>!,|&]/;

/** Parses a path. Throws an `Error` that says what was expected. */
export function parseJsonPath(text: string): Step[] {
  const steps: Step[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === undefined || /\s/.test(char)) at++;
    else if (char === "$" || char === "@") at++;
    else if (char === ".") {
      if (text[at + 1] === ".") {
        steps.push({ kind: "recursive" });
        at += 2;
        // `..name` and `..[0]`; the dot before a name is taken as read.
        if (text[at] !== "[") at = readField(text, at, steps);
      } else if (text[at + 1] === "[") at++;
      // A dot without a name asks for the member whose name is empty.
      else if (at + 1 === text.length) {
        steps.push({ kind: "field", name: "" });
        at++;
      } else at = readField(text, at + 1, steps);
    } else if (char === "[") {
      const end = closingBracket(text, at);
      steps.push(parseBracket(text.slice(at + 1, end)));
      at = end + 1;
    } else if (/[A-Za-z]/.test(char)) {
      const start = at;
      while (at < text.length && /[A-Za-z0-9_]/.test(text[at] ?? "")) at++;
      steps.push({ kind: "identifier", name: text.slice(start, at) });
    } else throw unrecognized(char);
  }
  return steps;
}

function unrecognized(char: string): Error {
  const point = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return new Error(`unrecognized character in action: U+${point} '${char}'`);
}

function readField(text: string, start: number, steps: Step[]): number {
  let name = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === "\\") name += text[++at] ?? "";
    else if (WORD_END.test(char)) break;
    else name += char;
  }
  if (name === "*") steps.push({ kind: "wildcard" });
  else if (name !== "") steps.push({ kind: "field", name });
  return at;
}

function closingBracket(text: string, open: number): number {
  let depth = 0;
  let quote = "";
  for (let at = open; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (char === "[" || char === "(") depth++;
    else if (char === "]" || char === ")") {
      depth--;
      if (depth === 0) return at;
    }
  }
  throw new Error(quote === "" ? "unterminated array" : "unterminated quoted string");
}

function parseBracket(inner: string): Step {
  if (inner === "*") return { kind: "wildcard" };
  if (inner.startsWith("?(")) {
    if (!inner.endsWith(")")) throw new Error("unterminated filter");
    return parseFilter(inner.slice(2, -1));
  }
  const parts = splitOutside(inner, ",");
  if (parts.length > 1) return { kind: "union", paths: parts.map((part) => [parseBracket(part)]) };
  const quoted = inner.startsWith("'") ? unquote(inner) : undefined;
  if (quoted !== undefined) return quotedField(quoted);
  const slice = /^(-?\d*)(:(-?\d*))?(:(-?\d*))?$/.exec(inner);
  if (slice === null || inner === "") throw new Error(`invalid array index ${inner}`);
  const number = (part: string | undefined) => part ? Number(part) : undefined;
  const isIndex = slice[2] === undefined;
  const [start, end, step] = [number(slice[1]), number(slice[3]), number(slice[5])];
  return {
    kind: "slice",
    isIndex,
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(step === undefined ? {} : { step }),
  };
}

/** To kubectl what is quoted is a path; to whoever writes it, often a key with dots. */
function quotedField(name: string): Step {
  if (!/[.[\\]/.test(name)) return { kind: "field", name };
  return { kind: "field", name, path: parseJsonPath(`.${name}`) };
}

function parseFilter(inner: string): Step {
  const found = splitOperator(inner);
  if (found === undefined) {
    return { kind: "filter", left: { path: parseJsonPath(inner) }, operator: "exists" };
  }
  return {
    kind: "filter",
    left: parseOperand(found.left),
    operator: found.operator,
    right: parseOperand(found.right),
  };
}

function splitOperator(text: string) {
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at++;
      else if (char === quote) quote = "";
      continue;
    }
    if (char === '"' || char === "'") quote = char;
    const operator = /^[!<>=]+/.exec(text.slice(at))?.[0];
    if (operator === undefined) continue;
    return {
      left: text.slice(0, at).trim(),
      operator,
      right: text.slice(at + operator.length).trim(),
    };
  }
  return undefined;
}

function parseOperand(text: string): Operand {
  const quoted = unquote(text);
  if (quoted !== undefined) return { literal: quoted };
  if (/^[+-]?\d+$/.test(text)) return { literal: BigInt(text) };
  if (/^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    const number = Number(text);
    return { literal: keepNumber(Number.isInteger(number) ? `${number}.0` : String(number)) };
  }
  if (text === "true" || text === "false") return { literal: text === "true" };
  return { path: parseJsonPath(text) };
}

/** A text in quotes; undefined if it is none. Throws an `Error` for what follows the quotes. */
function unquote(text: string): string | undefined {
  const [quoted, quote] = /^(["'])(?:\\.|(?!\1).)*\1/s.exec(text) ?? [];
  if (quoted === undefined || quote === undefined) return undefined;
  const rest = text.slice(quoted.length).trim();
  if (rest !== "") throw unrecognized(rest[0] ?? "");
  return quoted.slice(1, -1).replace(/\\(.)/gs, "$1");
}

function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quote = "";
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (char === separator) {
      parts.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  return [...parts, text.slice(start).trim()];
}

/** All values that the path reaches. Throws an `Error` where kubectl does. */
export function evaluateJsonPath(steps: readonly Step[], root: unknown): unknown[] {
  let values: unknown[] = [root];
  for (const step of steps) values = take(step, values);
  return values;
}

function take(step: Step, values: unknown[]): unknown[] {
  switch (step.kind) {
    case "identifier":
      // Begins a loop, which is nothing without its end.
      if (step.name === "range") return [];
      throw new Error(`unrecognized identifier ${step.name}`);
    case "field":
      return values.flatMap((value) => {
        if (isObject(value) && Object.hasOwn(value, step.name)) return [value[step.name]];
        return step.path === undefined ? [] : evaluateJsonPath(step.path, value);
      });
    case "wildcard":
      return values.flatMap(children);
    case "recursive":
      return values.flatMap(descendants);
    case "slice":
      return values.flatMap((value) => slice(step, value));
    case "union":
      return step.paths.flatMap((path) => path.reduce((found, next) => take(next, found), values));
    case "filter":
      return values.flatMap((value) => filter(step, value));
  }
}

function children(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  return isObject(value) ? Object.keys(value).sort().map((key) => value[key]) : [];
}

function descendants(value: unknown): unknown[] {
  return [value, ...children(value).flatMap(descendants)];
}

function slice(step: Extract<Step, { kind: "slice" }>, value: unknown): unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new Error(`${goTypeOf(value)} is not array or slice`);
  if (value.length === 0) return [];
  const { length } = value;
  const fromEnd = (index: number) => index < 0 ? index + length : index;
  const start = fromEnd(step.start ?? 0);
  const end = step.isIndex ? start + 1 : step.end === undefined ? length : fromEnd(step.end);
  const outside = (index: number) =>
    new Error(`array index out of bounds: index ${index}, length ${length}`);
  if (start >= length || start < 0) throw outside(start);
  if (end > length || end < 0) throw outside(end - 1);
  if (start > end) {
    throw new Error(`starting index ${start} is greater than ending index ${end}`);
  }
  const pace = step.step ?? 1;
  if (pace <= 0) throw new Error("step must be > 0");
  return value.slice(start, end).filter((_, index) => index % pace === 0);
}

function filter(step: Extract<Step, { kind: "filter" }>, value: unknown): unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) {
    throw new Error(`${show(value)} is not array or slice and cannot be filtered`);
  }
  return value.filter((element) => {
    const left = operands(step.left, element);
    if (step.operator === "exists") return left.length > 0;
    const right = step.right === undefined ? [] : operands(step.right, element);
    if (left.length === 0 || right.length === 0) return false;
    if (left.length > 1 || right.length > 1) {
      throw new Error("can only compare one element at a time");
    }
    return compare(left[0], step.operator, right[0]);
  });
}

function operands(operand: Operand, element: unknown): unknown[] {
  return "literal" in operand ? [operand.literal] : evaluateJsonPath(operand.path, element);
}

function compare(left: unknown, operator: string, right: unknown): boolean {
  const [a, b] = [comparable(left), comparable(right)];
  const isOrdered = operator !== "==" && operator !== "!=";
  if (typeof a !== typeof b || a === undefined || b === undefined) {
    throw new Error("incompatible types for comparison");
  }
  if (isOrdered && typeof a === "boolean") throw new Error("invalid type for comparison");
  switch (operator) {
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    default:
      throw new Error(`unrecognized filter operator ${operator}`);
  }
}

function comparable(value: unknown): Literal | undefined {
  const digits = rawNumber(value) ?? (typeof value === "number" ? String(value) : undefined);
  if (digits !== undefined) return /^-?\d+$/.test(digits) ? BigInt(digits) : Number(digits);
  return typeof value === "string" || typeof value === "boolean" || typeof value === "bigint"
    ? value
    : undefined;
}

/** What Go calls the type of a value of JSON. */
function goTypeOf(value: unknown): string {
  if (isObject(value)) return "map[string]interface {}";
  const digits = rawNumber(value) ?? (typeof value === "number" ? String(value) : undefined);
  if (digits !== undefined) return /^-?\d+$/.test(digits) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : "string";
}

function show(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
