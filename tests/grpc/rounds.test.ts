/** Turns of many connections by one timer, and what they save. */

import { expect, test } from "bun:test";
import { createRounds } from "../../src/lib/grpc/rounds.ts";
import { createHeartbeats } from "../../src/lib/grpc/subscriber.ts";
import { decodeEvent } from "../../src/lib/wire/protobuf.ts";
import { openDoors } from "../harness/doors.ts";
import { eventually } from "../harness/eventually.ts";
import { subscribe } from "../harness/grpc.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";

const PING = 6;
const DATA = 0;

test("those who join together have their turns together, again and again", async () => {
  const rounds = createRounds();
  const turns = ["a", "b"].map((name) => {
    const dues: number[] = [];
    return { name, dues, leave: rounds.join(50, (dueMs) => dues.push(dueMs)) };
  });

  await eventually(() => turns.every(({ dues }) => dues.length >= 3));
  for (const { leave } of turns) leave();

  expect(turns[0]?.dues).toEqual(turns[1]?.dues ?? []);
});

test("the first turn is due in its pace or a little earlier, and each later one in whole paces", async () => {
  const rounds = createRounds();
  const dues: number[] = [];
  const joined = performance.now();
  const leave = rounds.join(100, (dueMs) => dues.push(dueMs));

  await eventually(() => dues.length === 4);
  leave();

  const [first = 0, ...later] = dues;
  expect(first - joined).toBeGreaterThanOrEqual(90);
  expect(first - joined).toBeLessThan(101);
  // A loop that is held up leaves some out.
  expect(later.map((dueMs) => Math.round(dueMs - first) % 100)).toEqual([0, 0, 0]);
});

test("what joins later for the same connection has its turns with the first", async () => {
  const rounds = createRounds();
  const connection = Symbol("connection");
  const dues: number[][] = [[], []];
  const leaves = [rounds.join(100, (dueMs) => dues[0]?.push(dueMs), connection)];
  await Bun.sleep(45);
  leaves.push(rounds.join(100, (dueMs) => dues[1]?.push(dueMs), connection));

  await eventually(() => (dues[1]?.length ?? 0) >= 3);
  for (const leave of leaves) leave();

  expect(dues[1]).toEqual(dues[0] ?? []);
});

test("turns that were missed while the loop was held up are not made up for", async () => {
  const rounds = createRounds();
  const dues: number[] = [];
  const leave = rounds.join(20, (dueMs) => dues.push(dueMs));

  Bun.sleepSync(300);
  const heldUntil = performance.now();
  await eventually(() => dues.length >= 2);
  leave();

  expect(dues[1]).toBeGreaterThan(heldUntil);
});

test("who has left has no turn any more, even if another's turn has ended it", async () => {
  const rounds = createRounds();
  let count = 0;
  const leaveFirst = rounds.join(50, () => leaveSecond());
  const leaveSecond = rounds.join(50, () => count++);
  let later = 0;
  const leaveThird = rounds.join(100, () => later++);

  await eventually(() => later > 0);
  leaveFirst();
  leaveThird();

  expect(count).toBe(0);
});

test("thousands that are due together leave the event loop to others in between", async () => {
  const rounds = createRounds();
  let count = 0;
  let between = 0;
  const leaves = Array.from({ length: 2_000 }, () =>
    rounds.join(1_000, () => {
      if (count++ === 0) setTimeout(() => between = count, 1);
    }));

  await eventually(() => count >= 2_000);
  for (const leave of leaves) leave();

  expect(between).toBeLessThan(1_000);
});

test("a heartbeat is encoded once for all that are told together", async () => {
  const heartbeats = createHeartbeats(createRounds(), 50);
  const heard: Uint8Array[][] = [[], []];
  const leaves = heard.map((bytes) => heartbeats?.((one) => bytes.push(one), Symbol("its")));

  await eventually(() => heard.every((bytes) => bytes.length >= 2));
  for (const leave of leaves) leave?.();

  const [[first, second] = [], [other] = []] = heard;
  expect(first).toBe(other as Uint8Array);
  expect(decodeEvent(first as Uint8Array).id).not.toBe(decodeEvent(second as Uint8Array).id);
});

test("a connection's heartbeat and ping leave in one write", async () => {
  const args = ["--heartbeat-check-interval=300ms", "--grpc-server-ping-interval=300ms"];
  await using doors = await openDoors({ args });
  const consumer = await doors.consumer("cluster1");
  const chunks: number[][] = [];
  await using proxy = await startTcpProxy([Number(doors.agents.split(":")[1])], {
    filterDown: () => (bytes) => {
      chunks.push(frameTypes(bytes));
      return bytes;
    },
  });
  await using agent = await subscribe(`127.0.0.1:${proxy.port}`, { clusterName: consumer });

  await eventually(() => chunks.filter((types) => types.includes(DATA)).length >= 3);

  const beats = chunks.filter((types) => types.includes(PING) || types.includes(DATA));
  // The connection may have been there for a ping before its subscription was.
  const first = beats.findIndex((types) => types.includes(DATA));
  expect(beats.slice(first, first + 3)).toEqual(
    Array(3).fill(expect.arrayContaining([PING, DATA])),
  );
  expect(agent.events).toEqual([]);
});

/** Of whole frames, as one write of a connection at rest has them. */
function frameTypes(chunk: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= chunk.length; at += 9 + chunk.readUIntBE(at, 3)) {
    types.push(chunk[at + 3] ?? -1);
  }
  return types;
}
