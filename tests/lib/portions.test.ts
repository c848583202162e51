/** How a list of rows is cut into parts. */

import { expect, test } from "bun:test";
import { portions } from "../../src/lib/portions.ts";

const rows = (...sizes: number[]) =>
  sizes.map((stored_bytes, n) => ({ id: `r${n}`, stored_bytes }));
const sizesOf = (cut: Iterable<string[]>) => [...cut].map((ids) => ids.length);

test("a portion ends at its count or its bytes, and one row makes one, however large it is", () => {
  const limits = { countMax: 3, storedBytesMax: 100 };

  expect(sizesOf(portions(rows(1, 1, 1, 1), limits))).toEqual([3, 1]);
  expect(sizesOf(portions(rows(60, 40, 1, 500, 1), limits))).toEqual([2, 1, 1, 1]);
  expect(sizesOf(portions([], limits))).toEqual([]);
});

test("the first portion is small, and each one after it twice as large, up to the limit", () => {
  const limits = { countMax: 100, storedBytesMax: 50, firstBytesMax: 10 };

  const sizes = sizesOf(portions(rows(...Array.from({ length: 24 }, () => 10)), limits));

  expect(sizes).toEqual([1, 2, 4, 5, 5, 5, 2]);
});
