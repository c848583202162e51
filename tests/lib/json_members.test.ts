/** Members of a JSON object as they stand in its text. */

import { expect, test } from "bun:test";
import { memberTexts } from "../../src/lib/json_members.ts";
import { type Dice, rollDice } from "../faults/dice.ts";

const TEXTS = ["", "a", '"', "\\", '\\"', "}]", '{"a":1}', "é😀", "\n", ",", ":", "\\\\", "[[{"];

function valueOf(dice: Dice, depth: number): unknown {
  const kind = dice.between(0, depth > 0 ? 5 : 3);
  if (kind === 0) return dice.pick(TEXTS);
  if (kind === 1) return dice.pick([0, -1.5, 1e21, true, false, null]);
  if (kind < 4) return dice.pick(TEXTS) + dice.pick(TEXTS);
  const parts = Array.from({ length: dice.between(0, 4) }, () => valueOf(dice, depth - 1));
  return kind === 4
    ? parts
    : Object.fromEntries(parts.map((part, index) => [`${dice.pick(TEXTS)}${index}`, part]));
}

test("each member is what the text holds for it, whatever is in strings and between them", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const dice = rollDice(seed);

  for (let count = 0; count < 2_000; count++) {
    const entries = Array.from({ length: dice.between(0, 5) }, (_, index) => {
      return [`k${index}`, valueOf(dice, 3)];
    });
    const object = Object.fromEntries(entries);
    const text = JSON.stringify(object, null, dice.pick([0, 2, "\t"]));
    const found = memberTexts(dice.pick(["", " \n"]) + text);
    const members = [...found ?? []].map(([key, value]) => [key, JSON.parse(value)]);
    expect([seed, text, Object.fromEntries(members)]).toEqual([seed, text, object]);
  }
});

test("the last of several members counts, and what is no object or has escaped keys has none", () => {
  expect(memberTexts('{ "a" : 1 , "b":[1, 2] ,"a": "x" }')).toEqual(
    new Map([["a", '"x"'], ["b", "[1, 2]"]]),
  );
  expect(memberTexts("{}")).toEqual(new Map());
  for (const text of ["[1]", "null", "1", '"a"', '{"\\u0061":1}']) {
    expect(memberTexts(text)).toBeUndefined();
  }
});
