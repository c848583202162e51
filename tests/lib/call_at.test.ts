/** Calling back at a time of the clock. */

import { expect, test } from "bun:test";
import { callAt } from "../../src/lib/call_at.ts";

const DAY_MS = 86_400_000;

function called(timeMs: number): { calls: number; callOff: () => void } {
  const state = { calls: 0, callOff: () => {} };
  state.callOff = callAt(timeMs, () => void state.calls++);
  return state;
}

test("a time that is past is told soon, and never before whoever asks has an answer", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let hasReturned = false;
  let wasEarly = false;

  callAt(Date.now() - DAY_MS, () => {
    wasEarly = !hasReturned;
    resolve();
  });
  hasReturned = true;
  await promise;

  expect(wasEarly).toBeFalse();
});

test("a time that no timer reaches is waited for, and one that is called off never comes", async () => {
  const [far, off] = [called(Date.now() + 100 * DAY_MS), called(Date.now() + 20)];
  off.callOff();

  await new Promise<void>((resolve) => void callAt(Date.now() + 60, resolve));

  expect([far.calls, off.calls]).toEqual([0, 0]);
  far.callOff();
});
