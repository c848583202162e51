/** What is under way to a broker and from it, without a broker: order, limits and ends. */

import { expect, test } from "bun:test";
import { createAcknowledger } from "../../src/lib/mqtt/acknowledger.ts";
import { createWindow, type PublishPacket } from "../../src/lib/mqtt/window.ts";

/** Lets whatever is scheduled for the end of this turn happen. */
const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

const packet = (): PublishPacket => ({ bytes: Buffer.alloc(8), idAt: 2 });
const idOf = (bytes: Uint8Array) => Buffer.from(bytes).readUInt16BE(2);

test("messages are acknowledged in the order in which they arrived, many at once", async () => {
  const sent: number[][] = [];
  const acknowledger = createAcknowledger((ids) => void sent.push(ids));
  const [first, second, third] = [7, 8, 9].map((id) => acknowledger.expect(id));

  third?.();
  second?.();
  await turn();
  const early = [...sent];
  first?.();
  await turn();

  expect(early).toEqual([]);
  expect(sent).toEqual([[7, 8, 9]]);
});

test("nothing is acknowledged on a connection that is gone", async () => {
  const sent: number[][] = [];
  const acknowledger = createAcknowledger((ids) => void sent.push(ids));
  const acknowledge = acknowledger.expect(1);

  acknowledge();
  acknowledger.close();
  await turn();

  expect(sent).toEqual([]);
});

test("no more is under way than the broker takes, and the others follow in order", async () => {
  const sent: number[] = [];
  const window = createWindow((bytes) => void sent.push(idOf(bytes)));
  window.open(2);

  const answers = [1, 2, 3].map(() => window.add(packet()));
  const early = [...sent];
  window.settle(2, "nobody");
  window.settle(1, "received");
  window.settle(3, "received");

  expect(early).toEqual([1, 2]);
  expect(sent).toEqual([1, 2, 3]);
  expect(await Promise.all(answers)).toEqual(["received", "nobody", "received"]);
  expect(window.waiting).toBe(0);
});

test("what is under way when the connection ends is refused as unavailable, and what waits too", async () => {
  const window = createWindow(() => {});
  window.open(1);
  const answers = [window.add(packet()), window.add(packet())];

  window.close("it was cut");

  for (const answer of [...answers, window.add(packet())]) {
    await expect(answer).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("it was cut"),
    });
  }
  await window.idle();
});

test("an identifier that is under way is not given to another", async () => {
  const sent: number[] = [];
  const window = createWindow((bytes) => void sent.push(idOf(bytes)));
  window.open(70_000);
  const unanswered = [window.add(packet())];
  for (let count = 1; count < 65_535; count++) {
    unanswered.push(window.add(packet()));
    window.settle(sent.at(-1) ?? 0, "received");
  }

  unanswered.push(window.add(packet()));
  window.close("the test is over");

  const ends = await Promise.allSettled(unanswered);
  expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(2);
  expect(sent.slice(0, 2)).toEqual([1, 2]);
  expect(sent.at(-2)).toBe(65_535);
  expect(sent.at(-1)).toBe(2);
});
