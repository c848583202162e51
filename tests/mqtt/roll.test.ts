/** What a server knows of the consumers behind its broker, and how much it gives them. */

import { expect, test } from "bun:test";
import { createPace } from "../../src/lib/mqtt/pace.ts";
import { createRoll } from "../../src/lib/status/roll.ts";

const MINUTE_MS = 60_000;

function openRoll() {
  const clock = { nowMs: 0 };
  return { clock, roll: createRoll(() => clock.nowMs) };
}

test("a consumer without a subscription is away until it speaks, or for ten minutes", () => {
  const { clock, roll } = openRoll();

  roll.missed("c1");
  roll.missed("c2");
  const away = [roll.isAway("c1"), roll.isAway("c2"), roll.isAway("c3")];
  roll.heard("c1", { isOurs: true });
  const spoken = roll.isAway("c1");
  clock.nowMs = 10 * MINUTE_MS;

  expect(away).toEqual([true, true, false]);
  expect(spoken).toBeFalse();
  expect(roll.isAway("c2")).toBeFalse();
});

test("a Go agent is asked for all statuses when it has reported, and else every ten minutes", () => {
  const { clock, roll } = openRoll();
  roll.heard("go", { isOurs: false });
  roll.heard("ours", { isOurs: true });
  const reported = [roll.isListDue("go"), roll.isListDue("ours"), roll.isListDue("unknown")];

  clock.nowMs = 1;
  roll.listed("go");
  const asked = roll.isListDue("go");
  clock.nowMs = 2;
  roll.heard("go", { isOurs: false });
  const again = roll.isListDue("go");
  clock.nowMs = 3;
  roll.listed("go");
  clock.nowMs = 4 + 10 * MINUTE_MS;

  expect(reported).toEqual([true, false, false]);
  expect([asked, again, roll.isListDue("go")]).toEqual([false, true, true]);
  expect([roll.knowsDigests("go"), roll.knowsDigests("ours")]).toEqual([false, true]);
  expect(roll.knowsDigests("unknown")).toBeTrue();
});

test("a consumer that has much on its way gets more when it has answered half of it", () => {
  const drained: string[] = [];
  const pace = createPace((consumerName) => void drained.push(consumerName));
  for (let count = 0; count < 250; count++) pace.sent("c1", `r${count}`);
  pace.sent("c2", "r");

  const isFull = [pace.isFull("c1"), pace.isFull("c2")];
  for (let count = 0; count < 124; count++) pace.reported("c1", `r${count}`);
  const early = [...drained];
  pace.reported("c1", "r124");

  expect(isFull).toEqual([true, false]);
  expect(early).toEqual([]);
  expect(drained).toEqual(["c1"]);
  expect(pace.isFull("c1")).toBeFalse();
});
