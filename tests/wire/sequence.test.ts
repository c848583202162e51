/** Sequence ids: the vectors of the specification, and clocks that misbehave. */

import { expect, test } from "bun:test";
import {
  createSequence,
  isNewerSequence,
  isSequence,
  sequenceTimeMs,
} from "../../src/lib/wire/sequence.ts";

const AT_MS = Date.parse("2026-01-02T03:04:05.000Z");

test("ids of one millisecond count up, and the next millisecond follows them", () => {
  const next = createSequence(() => AT_MS);

  expect(next()).toBe("2006924427391930368");
  expect(next()).toBe("2006924427391930369");
  for (let step = 2; step < 4095; step++) next();
  expect(next()).toBe("2006924427391934463");
  expect(next()).toBe("2006924427396124672");
});

test("a clock that steps back never makes an id smaller", () => {
  let nowMs = AT_MS;
  const next = createSequence(() => nowMs);
  const before = next();

  nowMs -= 3_600_000;
  const after = next();

  expect(isNewerSequence(after, before)).toBeTrue();
});

test("a new life goes on above the last id of the one before", () => {
  const next = createSequence(() => AT_MS, "2006924427396124672");

  expect(next()).toBe("2006924427396124673");
});

test("an id of another node counts by its time", () => {
  const at = (ms: number, node: bigint) =>
    String((BigInt(ms - 1_288_834_974_657) << 22n) | (node << 12n));

  expect(isNewerSequence(at(AT_MS + 1, 0n), at(AT_MS, 1n))).toBeTrue();
  expect(isNewerSequence(at(AT_MS, 1n), at(AT_MS + 1, 9n))).toBeFalse();
  expect(isNewerSequence("1834773613329256448", "1834773391719010304")).toBeTrue();
  expect([isNewerSequence("7", "7"), isNewerSequence("10", "9")]).toEqual([false, true]);
});

test("an id tells when it was made", () => {
  expect(new Date(sequenceTimeMs("2000808179721572352")).toISOString()).toBe(
    "2025-12-16T06:00:17.921Z",
  );
});

test("only decimals that fit 64 bits are sequence ids", () => {
  expect(["1", "9223372036854775807"].every(isSequence)).toBeTrue();
  expect(["", "-1", "1.5", "9223372036854775808", "abc"].some(isSequence)).toBeFalse();
});
