/** Sources that keep a cursor, and those that know nothing of it. */

import { expect, test } from "bun:test";
import { encodeCursor } from "../../src/lib/status/cursor.ts";
import { readNow } from "../../src/lib/status/feed_page.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { openDoors } from "../harness/doors.ts";
import { specEvent, statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, refused, subscribe, type Subscription } from "../harness/grpc.ts";

const OUT_OF_RANGE = 11;
const RESOURCE_EXHAUSTED = 8;
/** A hundred megabytes of statuses take a while on a busy machine. */
const PATIENCE = { timeoutMs: 60_000 };
const QUICK = ["--heartbeat-check-interval=100ms"];

const messageOf = (event: CloudEvent) => JSON.parse(event.data ?? "{}").conditions[0].message;
const messages = ({ events }: Subscription) => events.map(messageOf);

test("M12: three servers on one database: each subscriber sees every status, whoever stored it", async () => {
  await using first = await openDoors();
  await using second = await openDoors({ database: first.database });
  await using third = await openDoors({ database: first.database });
  const servers = [first, second, third];
  const consumerName = await first.consumer();
  const subscribers = await Promise.all(servers.flatMap(({ sources }) => [
    subscribe(sources, { source: "tests" }),
    subscribe(sources, { source: "tests" }, { cursor: "" }),
  ]));
  const ids = Array.from({ length: 60 }, () => crypto.randomUUID());

  await Promise.all(ids.map(async (id, index) => {
    await publish(first.sources, specEvent({ id, consumerName }));
    const { agents } = servers[index % 3] ?? first;
    await publish(agents, statusEvent({ id, consumerName, message: id }));
  }));

  for (const subscriber of subscribers) {
    await eventually(() => subscriber.events.length >= ids.length);
    expect(messages(subscriber).toSorted()).toEqual(ids.toSorted());
    await subscriber[Symbol.asyncDispose]();
  }
});

test("a source that resumes with its cursor after a restart is told what it missed, in order", async () => {
  await using database = (await openDoors({ args: QUICK })).database;
  const first = await openDoors({ database, args: QUICK });
  const consumerName = await first.consumer();
  const id = crypto.randomUUID();
  await publish(first.sources, specEvent({ id, consumerName }));
  const before = await subscribe(first.sources, { source: "tests" }, { cursor: "" });
  await publish(first.agents, statusEvent({ id, consumerName, message: "seen" }));
  await before.waitFor((event) => messageOf(event) === "seen");
  const { cursor } = before;
  before.close();
  await publish(first.sources, specEvent({ id, consumerName, action: "delete_request" }));
  await publish(first.agents, statusEvent({ id, consumerName, message: "gone", isDeleted: true }));
  await publish(first.sources, specEvent({ id, consumerName }));
  await publish(first.agents, statusEvent({ id, consumerName, message: "reborn" }));
  await first[Symbol.asyncDispose]();

  await using second = await openDoors({ database, args: QUICK });
  await using after = await subscribe(second.sources, { source: "tests" }, { cursor });
  await after.waitFor((event) => messageOf(event) === "reborn");
  await publish(second.agents, statusEvent({ id, consumerName, message: "live" }));
  await after.waitFor((event) => messageOf(event) === "live");

  expect(messages(after)).toEqual(["gone", "reborn", "live"]);
});

test("a source that sent no cursor is told none, neither by events nor by heartbeats", async () => {
  await using doors = await openDoors({ args: QUICK });
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await using plain = await subscribe(doors.sources, { source: "tests" });
  await using keeping = await subscribe(doors.sources, { source: "tests" }, { cursor: "" });

  await publish(doors.sources, specEvent({ id, consumerName }));
  await publish(doors.agents, statusEvent({ id, consumerName, message: "one" }));
  for (const one of [plain, keeping]) {
    await one.waitFor((event) => messageOf(event) === "one");
    const { heartbeats } = one;
    await eventually(() => one.heartbeats > heartbeats);
  }

  expect(plain.cursor).toBeUndefined();
  expect(keeping.cursor).toBeString();
  expect(keeping.events[0]?.extensions["maestrocursor"]).toBeString();
});

test("a cursor that is no good is refused with the reason", async () => {
  await using doors = await openDoors();
  const now = await readNow(doors.db);
  const elsewhere = encodeCursor({ ...now, epoch: "0123456789ab" });
  const ask = (cursor: string) =>
    refused(subscribe(doors.sources, { source: "tests" }, { cursor }));

  expect((await ask("nonsense")).details).toContain("Cannot read the cursor");
  expect(await ask(elsewhere)).toMatchObject({
    code: OUT_OF_RANGE,
    details: expect.stringContaining("list again"),
  });
});

test(
  "M23: a source that does not read is ended with the place to resume from, and misses nothing",
  async () => {
    await using doors = await openDoors();
    const consumerName = await doors.consumer();
    const ids = Array.from({ length: 60 }, () => crypto.randomUUID());
    const pad = "x".repeat(1_800_000);
    await Promise.all(ids.map((id) => publish(doors.sources, specEvent({ id, consumerName }))));
    await using slow = await subscribe(doors.sources, { source: "tests" }, { cursor: "" });
    await using quick = await subscribe(doors.sources, { source: "tests" });
    slow.pause();

    for (const id of ids) {
      await publish(doors.agents, statusEvent({ id, consumerName, message: id + pad }));
    }
    const told = ({ events }: Subscription) =>
      events.map(({ extensions }) => extensions["resourceid"]);
    await eventually(() => told(quick).length === ids.length, Boolean, PATIENCE);
    slow.resume();
    const { code, details } = await slow.ended;
    const [, cursor] = /resume from ([\w-]+)$/.exec(details) ?? [];
    await using back = await subscribe(doors.sources, { source: "tests" }, {
      cursor: cursor ?? "",
    });

    expect([code, cursor]).toEqual([RESOURCE_EXHAUSTED, expect.any(String)]);
    await eventually(
      () => ids.every((id) => [...told(slow), ...told(back)].includes(id)),
      Boolean,
      PATIENCE,
    );
  },
  180_000,
);
