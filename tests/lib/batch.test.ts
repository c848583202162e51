/** Many callers, one statement. */

import { expect, test } from "bun:test";
import { createBatch } from "../../src/lib/batch.ts";
import { eventually } from "../harness/eventually.ts";

interface Run {
  entries: string[];
  finish: () => void;
  fail: (error: Error) => void;
}

/** However slow the machine is. */
const NEVER_MS = 60_000;

/** A batch whose runs the test ends. An entry's key is its first letter. */
function observe(
  options: {
    sizeMax?: number;
    sizeGood?: number;
    concurrency?: number;
    slowMs?: number;
    waitingMax?: number;
    stallMsMax?: number;
    meetsAll?: (error: unknown) => boolean;
  } = {},
) {
  const runs: Run[] = [];
  const add = createBatch<string, string>(
    (entries) =>
      new Promise((resolve, reject) => {
        const finish = () => resolve(entries.map((entry) => entry.toUpperCase()));
        runs.push({ entries, finish, fail: reject });
      }),
    {
      name: "test",
      key: (entry) => entry.slice(0, 1),
      sizeMax: 3,
      concurrency: 2,
      waitingMax: 100,
      stallMsMax: 60_000,
      meetsAll: () => false,
      ...options,
    },
  );
  const run = (n: number) => eventually(() => runs[n] as Run);
  return { runs, add, run };
}

/** By its end whatever may start has started. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

test("callers that arrive together share a run, and each gets its own answer", async () => {
  const { add, run, runs } = observe();

  const answers = Promise.all([add("a"), add("b"), add("c")]);
  (await run(0)).finish();

  expect(await answers).toEqual(["A", "B", "C"]);
  expect(runs).toHaveLength(1);
});

test("whoever comes during a run waits for its end, and travels with the others", async () => {
  const { add, run, runs } = observe({ slowMs: NEVER_MS });
  const first = add("a");
  await run(0);

  const later = Promise.all([add("b"), add("c")]);
  await turn();
  expect(runs).toHaveLength(1);
  runs[0]?.finish();
  await first;

  expect((await run(1)).entries).toEqual(["b", "c"]);
  runs[1]?.finish();
  await later;
});

test("a full batch does not wait for the run before it", async () => {
  const { add, run, runs } = observe({ slowMs: NEVER_MS });
  const all = [add("a")];
  await run(0);

  all.push(add("b"), add("c"), add("d"));
  await turn();

  expect(runs[1]?.entries).toEqual(["b", "c", "d"]);
  for (const { finish } of runs) finish();
  await Promise.all(all);
});

test("while enough wait a second run begins beside the first, and each takes half", async () => {
  const { add, run, runs } = observe({
    sizeMax: 10,
    sizeGood: 2,
    concurrency: 4,
    slowMs: NEVER_MS,
  });

  const all = Promise.all(["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(add));
  await turn();
  expect(runs.map(({ entries }) => entries.length)).toEqual([5, 2]);
  for (const n of [0, 1]) runs[n]?.finish();
  (await run(2)).finish();

  expect(runs[2]?.entries).toEqual(["h", "i"]);
  expect(await all).toEqual(["A", "B", "C", "D", "E", "F", "G", "H", "I"]);
});

test("too few for a run of their own wait for the end of the one under way", async () => {
  const { add, run, runs } = observe({ sizeMax: 10, sizeGood: 3, slowMs: NEVER_MS });
  const all = [add("a")];
  await run(0);

  all.push(add("b"), add("c"));
  await turn();
  expect(runs).toHaveLength(1);
  all.push(add("d"));
  await turn();
  expect(runs[1]?.entries).toEqual(["b", "c", "d"]);
  runs[1]?.finish();
  runs[0]?.finish();

  expect(await Promise.all(all)).toEqual(["A", "B", "C", "D"]);
});

test("nobody waits for a run that is held up", async () => {
  const { add, run, runs } = observe();
  const held = add("a");
  await run(0);

  const other = add("b");
  (await run(1)).finish();

  expect(await other).toBe("B");
  runs[0]?.finish();
  expect(await held).toBe("A");
});

test("entries with the same key keep their order, in runs of their own", async () => {
  const { add, run, runs } = observe();

  const all = Promise.all([add("a1"), add("b1"), add("a2"), add("a3")]);
  expect((await run(0)).entries).toEqual(["a1", "b1"]);
  await Bun.sleep(70);
  expect(runs).toHaveLength(1);
  runs[0]?.finish();
  expect((await run(1)).entries).toEqual(["a2"]);
  runs[1]?.finish();
  (await run(2)).finish();

  expect(await all).toEqual(["A1", "B1", "A2", "A3"]);
});

test("one bad entry of a batch fails alone", async () => {
  const { add, run } = observe();

  const outcomes = Promise.allSettled([add("a"), add("b")]);
  (await run(0)).fail(new Error("one of them is bad"));
  (await run(1)).finish();
  (await run(2)).fail(new Error("bad"));

  expect((await outcomes).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
});

test("beyond the limit callers are refused", async () => {
  const { add, run, runs } = observe({ waitingMax: 1, sizeMax: 1, concurrency: 1 });
  const first = add("a");
  await run(0);
  const second = add("b");

  await expect(add("c")).rejects.toThrow("Cannot test: 1 others are waiting");

  runs[0]?.finish();
  (await run(1)).finish();
  expect(await Promise.all([first, second])).toEqual(["A", "B"]);
});

test("an error that would meet each entry alone fails the batch at once", async () => {
  const { add, run, runs } = observe({ meetsAll: (error) => error === outage });
  const outage = new Error("the database is away");
  const answers = Promise.allSettled([add("a"), add("b"), add("c")]);

  (await run(0)).fail(outage);

  expect((await answers).map(({ status }) => status)).toEqual(Array(3).fill("rejected"));
  expect(runs).toHaveLength(1);
});

test("a run without an end is given up, and what waits behind it is refused", async () => {
  const { add, run, runs } = observe({ concurrency: 1, stallMsMax: 400 });
  const hung = add("a1").catch((error: Error) => error.message);
  await run(0);
  const waiting = [add("b"), add("a2")].map((call) => call.catch((error: Error) => error.message));

  expect(await hung).toContain("whether it took effect is not known");
  expect(await Promise.all(waiting)).toEqual([
    expect.stringContaining("nothing was tried"),
    expect.stringContaining("nothing was tried"),
  ]);
  expect(runs).toHaveLength(1);

  // The order of a key stays: its next entry waits until the run has ended after all.
  const next = add("a3");
  await turn();
  expect(runs).toHaveLength(1);
  runs[0]?.finish();
  (await run(1)).finish();
  expect(await next).toBe("A3");
});

test("whoever waits while others are answered is not refused, however long it takes", async () => {
  const { add, run } = observe({ concurrency: 1, sizeMax: 1, stallMsMax: 1_000 });
  const answers = Promise.all(["a", "b", "c", "d"].map(add));
  for (const n of [0, 1, 2, 3]) {
    const { finish } = await run(n);
    await Bun.sleep(400);
    finish();
  }

  expect(await answers).toEqual(["A", "B", "C", "D"]);
});
