/** Whether a bundle passes a search: the same as in SQL (`db/search.ts`), for changes that come one by one. */

import { isObject, parseJson } from "../json.ts";
import { badRequest } from "./refusal.ts";
import { type Condition, isLabels, labelPath, type Test, testsOf } from "./tree.ts";

/** What is known of a bundle when it changes. What is undefined may be anything, so nothing fails by it. */
export interface Known {
  id?: string | undefined;
  name?: string | undefined;
  source?: string | undefined;
  consumer_name?: string | undefined;
  type?: string | undefined;
  /** What is kept as its labels, which should be an object; null if there are none. */
  labels?: unknown;
}

const FOLLOWED: readonly string[] = ["id", "name", "source", "consumer_name", "type"];

/** Throws if the search asks for what changes without a watcher's being told of the state before. */
export function checkFollowed(condition: Condition): void {
  for (const { field, operator } of testsOf(condition)) {
    if (!isLabels(field) && !FOLLOWED.includes(field.column)) {
      const known = [...FOLLOWED, "labels"].join(", ");
      throw badRequest(`a watch cannot follow ${field.column}; it can follow ${known}`);
    }
    if (operator === "regex") {
      throw badRequest("a watch cannot follow ~= and ~!; use like, ilike or in");
    }
  }
}

/** True if the bundle passes, or may pass as far as it is known. */
export function matches(condition: Condition, known: Known): boolean {
  if ("all" in condition) return condition.all.every((one) => matches(one, known));
  if ("any" in condition) return condition.any.some((one) => matches(one, known));
  const found = valueOf(condition, known);
  if (found === "unknown") return true;
  if (condition.operator === "null") return (found === null) !== condition.isNot;
  return found !== null && passes(condition, found.value) !== condition.isNot;
}

/** Null is what SQL calls null, which a document's own null is not. */
function valueOf({ field }: Test, known: Known): { value: unknown } | null | "unknown" {
  if (!isLabels(field)) {
    const value = known[field.column as "id"];
    return value === undefined ? "unknown" : { value };
  }
  if (known.labels === undefined) return "unknown";
  let value: unknown = known.labels ?? undefined;
  for (const key of labelPath(field)) {
    value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  if (value === undefined) return null;
  if (field.type !== "path text") return { value };
  if (value === null) return null;
  return { value: typeof value === "string" ? value : JSON.stringify(value) };
}

function passes({ operator, values }: Test, value: unknown): boolean {
  const [first = "", second = ""] = values;
  if (operator === "contains") return contains(value, parseJson(first));
  const text = String(value);
  switch (operator) {
    case "in":
      return values.includes(text);
    case "like":
      return isLike(text, first);
    case "ilike":
      return isLike(inSmallLetters(text), inSmallLetters(first));
    case "<":
      return compare(text, first) < 0;
    case "<=":
      return compare(text, first) <= 0;
    case ">":
      return compare(text, first) > 0;
    case ">=":
      return compare(text, first) >= 0;
    case "between":
      return compare(text, first) >= 0 && compare(text, second) <= 0;
    default:
      throw new Error(`a watch cannot follow ${operator}`);
  }
}

/** By bytes, as the collation "C" has it. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** As the collation "C" has it. */
function inSmallLetters(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** What LIKE means, in time that grows with the product of both lengths at most. */
function isLike(text: string, pattern: string): boolean {
  const letters = [...text];
  const wanted = [...pattern.matchAll(/\\([^])|([^])/gu)].map(([whole, escaped]) =>
    escaped === undefined ? whole : { literally: escaped }
  );
  let [at, place, star, starAt] = [0, 0, -1, 0];
  while (at < letters.length) {
    const one = wanted[place];
    const literal = typeof one === "object" ? one.literally : one;
    if (one === "%") {
      star = place++;
      starAt = at;
    } else if (one === "_" || (one !== undefined && literal === letters[at])) {
      at++;
      place++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++starAt;
    } else return false;
  }
  return wanted.slice(place).every((one) => one === "%");
}

/** What `@>` means for jsonb. */
function contains(whole: unknown, part: unknown): boolean {
  // An array may also contain a bare value.
  if (Array.isArray(whole) && !Array.isArray(part) && !isObject(part)) {
    return whole.some((one) => JSON.stringify(one) === JSON.stringify(part));
  }
  return containsAll(whole, part);
}

function containsAll(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    return Array.isArray(whole) &&
      part.every((one) => whole.some((other) => containsAll(other, one)));
  }
  if (isObject(part)) {
    return isObject(whole) &&
      Object.entries(part).every(([key, value]) =>
        Object.hasOwn(whole, key) && containsAll(whole[key], value)
      );
  }
  return JSON.stringify(whole) === JSON.stringify(part);
}
