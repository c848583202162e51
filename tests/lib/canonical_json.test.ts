/** JSON in one form, for hashes and comparisons: keys sorted by their bytes, numbers as they were written. */

import { expect, test } from "bun:test";
import { canonicalJson, type JsonObject, parseJson, rawNumber } from "../../src/lib/json.ts";

const KEYS = ["a", "b", "B", "name", "10", "9", "01", "-1", "1.5", "__proto__", "constructor", ""];
const ODD_KEYS = ["\u{1F600}", "\ue000", "\uffee", "é", 'quo"te', "line\n"];
const SCALARS = ['"text"', '"\u{1F600}"', "0", "-0", "1.0", "9007199254740993", "true", "null"];

/** A generator of numbers below 2^32 that gives the same ones each time. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

function pick<T>(from: readonly T[], random: (below: number) => number): T {
  return from[random(from.length)] as T;
}

/** Any JSON text; half of the documents have keys that need care. */
function anyJson(random: (below: number) => number, keys: readonly string[], depth = 0): string {
  const kind = depth > 3 ? 0 : random(4);
  if (kind < 2) return pick(SCALARS, random);
  const members = Array.from({ length: random(5) }, () => anyJson(random, keys, depth + 1));
  if (kind === 2) return `[${members.join(",")}]`;
  return `{${members.map((text) => `${JSON.stringify(pick(keys, random))}:${text}`).join(",")}}`;
}

/** The same by the words of the definition, as slow as that is. */
function byDefinition(value: unknown): string {
  const digits = rawNumber(value);
  if (digits !== undefined) return digits;
  if (Array.isArray(value)) return `[${value.map(byDefinition).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value as JsonObject);
  members.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const texts = members.map(([key, member]) => `${JSON.stringify(key)}:${byDefinition(member)}`);
  return `{${texts.join(",")}}`;
}

for (
  const [what, keys] of [["plain", KEYS.slice(0, 4)], ["all", [...KEYS, ...ODD_KEYS]]] as const
) {
  test(`documents with ${what} keys are written in the order of their keys' bytes`, () => {
    const random = seeded(7);
    for (let round = 0; round < 3_000; round++) {
      const value = parseJson(anyJson(random, keys));
      expect(canonicalJson(value)).toBe(byDefinition(value));
    }
  });
}

test("what is undefined is left out of an object, and null elsewhere", () => {
  const value = { b: undefined, a: [undefined, { c: undefined }] };

  expect([value, undefined, { 1: undefined, ...value }].map(canonicalJson)).toEqual([
    '{"a":[null,{}]}',
    "null",
    '{"a":[null,{}]}',
  ]);
});

test("what is written in order is not changed itself", () => {
  const value = { b: 1, a: { d: [{ z: 1, y: 2 }], c: 2 } };

  expect(canonicalJson(value)).toBe('{"a":{"c":2,"d":[{"y":2,"z":1}]},"b":1}');
  expect(JSON.stringify(value)).toBe('{"b":1,"a":{"d":[{"z":1,"y":2}],"c":2}}');
});
