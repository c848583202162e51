/** Turns that are shared, and turns that are alone. */

import { expect, test } from "bun:test";
import { createKeyedTurns, createTurns } from "../../src/lib/turns.ts";

/** A run that notes its beginning and its end, and ends when it is told to. */
function openRun(name: string, notes: string[]) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const run = async () => {
    notes.push(`${name} begins`);
    try {
      await promise;
    } finally {
      notes.push(`${name} ends`);
    }
  };
  return { run, end: resolve, fail: reject };
}

test("who wants to be alone waits for those before, and those after wait for it", async () => {
  const turns = createTurns();
  const notes: string[] = [];
  const [first, second, alone, later] = ["first", "second", "alone", "later"]
    .map((name) => openRun(name, notes)) as [Run, Run, Run, Run];

  const taken = [
    turns.together(first.run),
    turns.together(second.run),
    turns.alone(alone.run),
    turns.together(later.run),
  ];
  for (const one of [later, alone, second, first]) one.end();
  await Promise.all(taken);

  expect(notes).toEqual([
    ...["first begins", "second begins", "first ends", "second ends"],
    ...["alone begins", "alone ends", "later begins", "later ends"],
  ]);
});

type Run = ReturnType<typeof openRun>;

test("a turn that fails tells its own, and holds up nobody", async () => {
  const turns = createTurns();
  const notes: string[] = [];
  const [shared, alone] = [openRun("shared", notes), openRun("alone", notes)];

  const failed = [turns.together(shared.run), turns.alone(alone.run)];
  shared.fail(new Error("shared"));
  alone.fail(new Error("alone"));

  const reasons = (await Promise.allSettled(failed)).map((one) => "reason" in one && one.reason);
  expect(reasons).toEqual([new Error("shared"), new Error("alone")]);
  expect(await turns.alone(() => Promise.resolve("goes on"))).toBe("goes on");
});

test("keys do not wait for each other, and each for all of its own", async () => {
  const turns = createKeyedTurns();
  const notes: string[] = [];
  const [held, last] = [openRun("held", notes), openRun("last", notes)];
  last.end();

  const first = turns.together("a", held.run);
  expect(await turns.together("a", () => Promise.resolve("beside it"))).toBe("beside it");
  const alone = turns.alone("a", last.run);
  expect(await turns.alone("b", () => Promise.resolve("another"))).toBe("another");
  expect(notes).toEqual(["held begins"]);
  held.end();
  await Promise.all([first, alone]);

  expect(notes).toEqual(["held begins", "held ends", "last begins", "last ends"]);
});
