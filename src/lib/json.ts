/**
 * JSON that keeps its numbers.
 *
 * Manifests carry integers above 2^53 and decimals such as `1.0`, which a JavaScript double
 * changes. Such a number is kept as `JSON.rawJSON`, so that writing gives back what was read.
 */

import { MaestroError } from "./errors.ts";

/** A JSON object of unknown members. */
export type JsonObject = { [key: string]: unknown };

type RawJson = { readonly rawJSON: string };
type SourceReviver = (key: string, value: unknown, context: { source?: string }) => unknown;

const rawJson = (JSON as unknown as { rawJSON: (text: string) => RawJson }).rawJSON;
const isRawJson = (JSON as unknown as { isRawJSON: (value: unknown) => value is RawJson })
  .isRawJSON;

// A number of sixteen digits, with a decimal point or an exponent, or a minus zero: all that a double may change.
// A match inside a string only costs the slower path, which takes six times as long. Image tags and
// addresses, which nearly every manifest has, do not match.
const MAY_LOSE =
  /(?:^|[\s:,[])(?:-0(?:$|[\s,\]}])|-?\d{16}|-?\d{1,15}[.eE][\d.eE+-]*(?:$|[\s,\]}]))/;

/** Kubernetes' own objects stay far below; deeper ones would exhaust a stack somewhere. */
const DEPTH_MAX = 500;

// Only an escape can write half a surrogate pair into JSON that is UTF-8.
const MAY_HALVE = /\\u[dD][89a-fA-F]/;
const ESCAPED_NUL = /(?<!\\)(?:\\\\)*\\u0000/;

/** Parses JSON without losing a digit. Throws the engine's `SyntaxError` on anything else. */
export function parseJson(text: string): unknown {
  if (!MAY_LOSE.test(text)) return JSON.parse(text);
  const keepNumber: SourceReviver = (_, value, { source }) =>
    typeof value === "number" && source !== undefined && source !== JSON.stringify(value)
      ? rawJson(source)
      : value;
  return JSON.parse(text, keepNumber as (key: string, value: unknown) => unknown);
}

/**
 * Parses a JSON object; `what` names it in the error.
 *
 * Refuses what PostgreSQL cannot keep or a stack cannot follow: U+0000, half a surrogate pair, and nesting
 * without end.
 */
export function parseJsonObject(text: string, what: string): JsonObject {
  const value = parseDocument(text, what);
  if (isObject(value)) return value;
  throw new MaestroError("invalid_argument", `Cannot read ${what}: it must be a JSON object`);
}

/** Parses JSON of any kind, with the same checks. */
export function parseDocument(text: string, what: string): unknown {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new MaestroError("invalid_argument", `Cannot read ${what}: it is not JSON`, { cause });
  }
  // The search for a fixed text costs next to nothing; the expression 15 us for 3 KB.
  const hasEscapes = text.includes("\\u");
  if (hasEscapes && ESCAPED_NUL.test(text)) {
    throw new MaestroError("invalid_argument", `Cannot read ${what}: it contains \\u0000`);
  }
  const mayBeFlawed = mayNestDeeply(text) || (hasEscapes && MAY_HALVE.test(text));
  const flaw = mayBeFlawed ? findFlaw(value, 0) : undefined;
  if (flaw !== undefined) {
    throw new MaestroError("invalid_argument", `Cannot read ${what}: it ${flaw}`);
  }
  return value;
}

/** Counting brackets is much cheaper than walking every document. */
function mayNestDeeply(text: string): boolean {
  let brackets = 0;
  for (const bracket of "[{") {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (++brackets > DEPTH_MAX) return true;
    }
  }
  return false;
}

function findFlaw(value: unknown, depth: number): string | undefined {
  if (depth > DEPTH_MAX) return `is nested deeper than ${DEPTH_MAX} levels`;
  if (typeof value === "string") {
    return value.isWellFormed() ? undefined : "contains half a surrogate pair";
  }
  const members = Array.isArray(value) ? value : isObject(value) ? Object.entries(value) : [];
  for (const member of members) {
    // A key and its value come as a list of two, which is no level of its own.
    const parts = Array.isArray(value) ? [member] : member as unknown[];
    for (const part of parts) {
      const flaw = findFlaw(part, depth + 1);
      if (flaw !== undefined) return flaw;
    }
  }
  return undefined;
}

/** True for a JSON object, which a list, null and a kept number are not. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawJson(value);
}

/** The number that these digits of JSON write: a plain one if a double has all of it. */
export function keepNumber(digits: string): unknown {
  const number = Number(digits);
  return JSON.stringify(number) === digits ? number : rawJson(digits);
}

/** The digits of a number that was kept as text, or undefined for any other value. */
export function rawNumber(value: unknown): string | undefined {
  return isRawJson(value) ? value.rawJSON : undefined;
}

/** Compact JSON with object keys sorted by their bytes, for hashes and comparisons. */
export function canonicalJson(value: unknown): string {
  // The engine writes a sorted copy several times as fast as we could write it member by member.
  const copy = sortedCopy(value);
  return copy === UNSORTABLE ? writeSorted(value) : JSON.stringify(copy) ?? "null";
}

/** What has keys that an object would not keep in this order, or that the engine sorts otherwise. */
const UNSORTABLE = Symbol("unsortable");
// The engine's order, of UTF-16, differs from that of bytes only where a surrogate meets U+E000 or above.
const SURROGATE = /[\ud800-\udfff]/;
// Objects keep what looks like a number before all else, and take one key for something else.
const UNSORTABLE_KEY = /^\d+$|^__proto__$|[\ud800-\udfff]/;

function sortedCopy(value: unknown): unknown {
  if (typeof value !== "object" || value === null || isRawJson(value)) return value;
  if (Array.isArray(value)) {
    const members: unknown[] = [];
    for (const given of value) {
      const member = sortedCopy(given);
      if (member === UNSORTABLE) return UNSORTABLE;
      members.push(member);
    }
    return members;
  }
  const object = value as JsonObject;
  const copy: JsonObject = {};
  for (const key of sortedKeys(object)) {
    const member = sortedCopy(object[key]);
    if (member === UNSORTABLE || UNSORTABLE_KEY.test(key)) return UNSORTABLE;
    copy[key] = member;
  }
  return copy;
}

/** Many keys are in order already, as Go writes them. */
function sortedKeys(object: JsonObject): string[] {
  const keys = Object.keys(object);
  let last = "";
  for (const key of keys) {
    if (key < last) return keys.sort();
    last = key;
  }
  return keys;
}

function writeSorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(writeSorted).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "null";
  let members = "";
  const keys = Object.keys(value);
  for (const key of SURROGATE.test(keys.join("")) ? keys.sort(byBytes) : keys.sort()) {
    const member = value[key];
    if (member === undefined) continue;
    if (members !== "") members += ",";
    members += `${JSON.stringify(key)}:${writeSorted(member)}`;
  }
  return `{${members}}`;
}

/** JSON text as Go's encoder escapes it: `<`, `>`, `&`, U+2028 and U+2029 as `\u` sequences. */
export function escapeLikeGo(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
