/** Garbage is collected when so much of it has been made. */

import { expect, test } from "bun:test";
import { createGarbageLimit } from "../../src/lib/garbage.ts";

const COUNT = 1_000;

/** Objects that nobody keeps. */
function makeGarbage(): WeakRef<object>[] {
  return Array.from({ length: COUNT }, () => new WeakRef({}));
}

/** A weak reference keeps its object until its turn of the event loop ends. */
async function countLeft(made: WeakRef<object>[]): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  return made.filter((one) => one.deref() !== undefined).length;
}

test("what nobody keeps is collected once so many bytes have been made", async () => {
  const garbage = createGarbageLimit(1_000);
  const made = makeGarbage();
  await countLeft(made);
  garbage.add(400);
  garbage.add(600);
  // The engine takes whatever on its stack looks like a pointer for one.
  expect(await countLeft(made)).toBeLessThan(COUNT / 10);
});
