/** A list of what is held that is too long for one message. */

import { expect, test } from "bun:test";
import { cutHeld, encodeSpecResync, isInRange } from "../../src/lib/wire/resync.ts";

const held = Array.from({ length: 1000 }, (_, index) => ({
  resourceId: Bun.hash(`resource ${index}`).toString(16),
  version: index === 0 ? 2_147_483_647 : index,
}));

test("a list that fits stays one, without a range, as peers send it", () => {
  expect(cutHeld(held, 1_000_000)).toEqual([{ held }]);
  expect(cutHeld([], 0)).toEqual([{ held: [] }]);
});

test("a long list is cut into parts that fit and that together leave out no id, held or not", () => {
  const bytesMax = 10_000;

  const parts = cutHeld(held, bytesMax);

  expect(parts.length).toBeGreaterThan(5);
  expect(parts.flatMap((part) => part.held).toSorted(byId)).toEqual(held.toSorted(byId));
  for (const part of parts) {
    const room = `{"resourceVersions":[]}`.length;
    expect(encodeSpecResync(part.held).length).toBeLessThanOrEqual(bytesMax + room);
  }
  for (const id of ["0", "80", "f", "zzz", ...held.map(({ resourceId }) => resourceId)]) {
    const ranges = parts.filter(({ range }) => range !== undefined && isInRange(id, range));
    expect({ id, ranges: ranges.length }).toEqual({ id, ranges: 1 });
    const isHeld = held.some(({ resourceId }) => resourceId === id);
    const isListed = ranges[0]?.held.some(({ resourceId }) => resourceId === id);
    expect({ id, isListed }).toEqual({ id, isListed: isHeld });
  }
});

test("an entry that is larger than a part is a part of its own", () => {
  expect(cutHeld(held.slice(0, 3), 1).map((part) => part.held.length)).toEqual([1, 1, 1]);
});

function byId(a: { resourceId: string }, b: { resourceId: string }): number {
  return a.resourceId < b.resourceId ? -1 : 1;
}
