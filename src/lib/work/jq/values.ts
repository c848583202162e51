/** The values of jq: JSON, whose numbers keep their digits as long as nobody calculates with them. */

import { isObject, type JsonObject, rawNumber } from "../../json.ts";

/** What a program raises; `value` is what `try … catch` gets. */
export class JqError extends Error {
  constructor(message: string, readonly value: unknown = message) {
    super(message);
  }
}

/** A text or list beyond this would only fill the memory. */
const LENGTH_MAX = 10_000_000;

/** The type of a value, by jq's name. */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  if (isObject(value)) return "object";
  return typeof value === "object" ? "number" : typeof value;
}

/** The number as a double. */
export function numberOf(value: unknown): number {
  return Number(rawNumber(value) ?? value);
}

/** A value as errors show it: its type and the beginning of its text. */
export function show(value: unknown): string {
  const text = toText(value);
  return `${typeOf(value)} (${text.length > 30 ? `${text.slice(0, 27)}...` : text})`;
}

/** Compact JSON. */
export function toText(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (typeof member !== "number" || Number.isFinite(member)) return member;
    return Number.isNaN(member) ? null : Math.sign(member) * Number.MAX_VALUE;
  }) ?? "null";
}

const ORDER = ["null", "boolean", "number", "string", "array", "object"];

/** The order of all values: by type, then by value. */
export function compare(a: unknown, b: unknown): number {
  const type = typeOf(a);
  const order = ORDER.indexOf(type) - ORDER.indexOf(typeOf(b));
  if (order !== 0) return order;
  switch (type) {
    case "boolean":
      return Number(a) - Number(b);
    case "number":
      return compareNumbers(a, b);
    case "string":
      return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
    case "array":
      return compareLists(a as unknown[], b as unknown[]);
    case "object":
      return compareObjects(a as JsonObject, b as JsonObject);
    default:
      return 0;
  }
}

function compareNumbers(a: unknown, b: unknown): number {
  const texts = [a, b].map((value) => rawNumber(value) ?? String(value));
  if (texts.every((text) => /^-?\d+$/.test(text))) {
    const [left = 0n, right = 0n] = texts.map(BigInt);
    return left < right ? -1 : left > right ? 1 : 0;
  }
  const [left, right] = [numberOf(a), numberOf(b)];
  return left < right || Number.isNaN(left) ? -1 : left > right ? 1 : 0;
}

function compareLists(a: unknown[], b: unknown[]): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compare(a[index], b[index]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(a: JsonObject, b: JsonObject): number {
  const [left, right] = [keysOf(a), keysOf(b)];
  const order = compareLists(left, right);
  return order !== 0 ? order : compareLists(left.map((key) => a[key]), right.map((key) => b[key]));
}

/** The keys of an object in order. */
export function keysOf(object: JsonObject): string[] {
  return Object.keys(object).sort(compare);
}

/** False for `null` and `false` only. */
export function isTrue(value: unknown): boolean {
  return value !== null && value !== undefined && value !== false;
}

/** `a + b` and the other operators. */
export function calculate(operator: string, a: unknown, b: unknown): unknown {
  const types = `${typeOf(a)} ${typeOf(b)}`;
  switch (operator) {
    case "==":
      return compare(a, b) === 0;
    case "!=":
      return compare(a, b) !== 0;
    case "<":
      return compare(a, b) < 0;
    case "<=":
      return compare(a, b) <= 0;
    case ">":
      return compare(a, b) > 0;
    case ">=":
      return compare(a, b) >= 0;
    case "+":
      if (a === null || a === undefined) return b;
      if (b === null || b === undefined) return a;
      return add(a, b, types);
  }
  if (types === "number number") return calculateNumbers(operator, a, b);
  if (operator === "-" && types === "array array") {
    return (a as unknown[]).filter((item) =>
      !(b as unknown[]).some((other) => compare(item, other) === 0)
    );
  }
  if (operator === "*") return multiply(a, b, types);
  if (operator === "/" && types === "string string") return splitText(a as string, b as string);
  throw cannot(operator, a, b);
}

function add(a: unknown, b: unknown, types: string): unknown {
  if (types === "number number") return numberOf(a) + numberOf(b);
  if (types === "object object") return { ...(a as JsonObject), ...(b as JsonObject) };
  const isText = types === "string string";
  if (!isText && types !== "array array") throw cannot("+", a, b);
  bounded((a as string).length + (b as string).length);
  return isText ? (a as string) + (b as string) : [...(a as unknown[]), ...(b as unknown[])];
}

function calculateNumbers(operator: string, a: unknown, b: unknown): number {
  const [left, right] = [numberOf(a), numberOf(b)];
  switch (operator) {
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      if (right === 0) throw cannot("/", a, b, " because the divisor is zero");
      return left / right;
    default: {
      const [whole, divisor] = [Math.trunc(left), Math.abs(Math.trunc(right))];
      if (divisor === 0) throw cannot("%", a, b, " because the divisor is zero");
      return whole % divisor + 0;
    }
  }
}

function multiply(a: unknown, b: unknown, types: string): unknown {
  if (types === "object object") return mergeDeeply(a as JsonObject, b as JsonObject);
  const [text, factor] = typeof a === "string" ? [a, b] : [b, a];
  if (typeof text !== "string" || typeOf(factor) !== "number") throw cannot("*", a, b);
  const times = numberOf(factor);
  if (!(times > 0)) return null;
  bounded(text.length * Math.ceil(times));
  return text.repeat(times < 1 ? 1 : Math.floor(times));
}

function mergeDeeply(a: JsonObject, b: JsonObject): JsonObject {
  const merged: JsonObject = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const old = merged[key];
    merged[key] = isObject(old) && isObject(value) ? mergeDeeply(old, value) : value;
  }
  return merged;
}

/** The parts of a text between separators; of an empty text there are none. */
export function splitText(text: string, separator: string): string[] {
  if (text === "") return [];
  return separator === "" ? [...text] : text.split(separator);
}

/** Refuses what would be too long. */
export function bounded(length: number): void {
  if (length > LENGTH_MAX) throw new JqError("the result is too large");
}

const VERBS: Record<string, string> = {
  "+": "added",
  "-": "subtracted",
  "*": "multiplied",
  "/": "divided",
  "%": "divided",
};

function cannot(operator: string, a: unknown, b: unknown, why = ""): JqError {
  return new JqError(`${show(a)} and ${show(b)} cannot be ${VERBS[operator]}${why}`);
}
