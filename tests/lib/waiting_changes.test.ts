/** What waits for a slow subscriber, and the place that it can come back to. */

import { expect, test } from "bun:test";
import { createWaitingChanges } from "../../src/lib/waiting_changes.ts";

/** Pushes changes such as `a1` and `a1!`, which is a deletion; their places are 1, 2, 3 and so on. */
function pushAll(changes: string[]) {
  const waiting = createWaitingChanges<string, number>(0);
  changes.forEach((value, index) => {
    waiting.push(
      { key: value.charAt(0), value, bytes: 10, isFinal: value.endsWith("!") },
      index + 1,
    );
  });
  return waiting;
}

function drain(waiting: ReturnType<typeof pushAll>): (string | number)[][] {
  const told: (string | number)[][] = [];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    told.push([next.value, next.resume]);
  }
  return told;
}

test("a newer state takes the place of one that waits, and the cursor stays before what still waits", () => {
  const waiting = pushAll(["a1", "b1", "a2", "c1", "a3"]);

  expect(waiting.resume).toBe(0);
  expect([waiting.size, waiting.bytes]).toEqual([3, 30]);
  expect(drain(waiting)).toEqual([["a3", 1], ["b1", 3], ["c1", 5]]);
  expect([waiting.size, waiting.bytes, waiting.resume]).toEqual([0, 0, 5]);
});

test("no state passes a deletion, and each deletion is told", () => {
  const waiting = pushAll(["a1", "a2!", "b1", "a3", "a4", "a5!", "a6"]);

  expect(drain(waiting).map(([value]) => value)).toEqual(["a1", "a2!", "b1", "a4", "a5!", "a6"]);
});

test("whoever comes back at any moment is told the rest, for any order of changes", () => {
  let seed = 7;
  const random = (below: number) => (seed = seed * 48271 % 2147483647) % below;
  for (let run = 0; run < 300; run++) {
    const changes = Array.from({ length: 30 }, (_, index) => {
      return `${"abcd".charAt(random(4))}${index + 1}${random(4) === 0 ? "!" : ""}`;
    });
    const waiting = createWaitingChanges<string, number>(0);
    const told: string[] = [];
    changes.forEach((value, index) => {
      const entry = { key: value.charAt(0), value, bytes: 1, isFinal: value.endsWith("!") };
      waiting.push(entry, index + 1);
      if (random(3) > 0) return;
      const next = waiting.shift();
      if (next === undefined) return;
      told.push(next.value);

      // What is told so far, and everything behind the cursor, ends as it really is.
      const after = [...told, ...changes.slice(next.resume)];
      for (const key of "abcd") {
        const last = (list: string[]) => list.findLast((one) => one.startsWith(key));
        expect(last(after)).toBe(last(changes));
      }
      for (const one of changes.slice(0, next.resume).filter((one) => one.endsWith("!"))) {
        expect(told).toContain(one);
      }
    });
    for (const [value] of drain(waiting)) told.push(String(value));
    for (const key of "abcd") {
      const numbers = told.filter((one) => one.startsWith(key)).map((one) =>
        parseInt(one.slice(1))
      );
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
  }
});
