/** Watching bundles over HTTP: what a watcher is told, in which order, and how it comes back. */

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { query } from "../../src/lib/db/query.ts";
import { comparePositions, decodeCursor, encodeCursor } from "../../src/lib/status/cursor.ts";
import { readNow } from "../../src/lib/status/feed_page.ts";
import { bundle, specEvent, statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish } from "../harness/grpc.ts";
import { openWatchDoors, watch, type WatchDoors } from "../harness/watch.ts";

/** Publishes the spec of a bundle; `labels` are the source's. */
async function spec(
  doors: WatchDoors,
  parts: Parameters<typeof specEvent>[0] & { labels?: Record<string, string> },
): Promise<void> {
  const { labels } = parts;
  const metadata = JSON.stringify({ labels });
  await publish(
    doors.sources,
    specEvent({ ...parts, ...(labels !== undefined && { extensions: { metadata } }) }),
  );
}

test("a watcher is told of a bundle's whole life, in order, as GET presents it", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await using watcher = await watch(doors.bundles);
  const told = (count: number) => eventually(() => watcher.told(id).length >= count);

  await spec(doors, { id, consumerName });
  await told(1);
  const shown = await (await fetch(`${doors.bundles}/${id}`)).json();
  await spec(doors, { id, consumerName, action: "update_request", version: 1, data: bundle("2") });
  await told(2);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 2, message: "up" }));
  await told(3);
  await spec(doors, { id, consumerName, action: "delete_request", version: 2 });
  await told(4);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 2, isDeleted: true }));
  await told(5);

  expect(watcher.told(id)).toEqual([
    ...["added 1", "modified 2", "modified 2", "modified 2", "deleted 2"],
  ]);
  const [added, , reported, deleting, deleted] = watcher.events.filter((one) => one.data.id === id);
  expect(added?.data).toEqual(shown);
  expect(reported?.data.status.conditions[0].message).toBe("up");
  expect(deleting?.data.deleted_at).toBeString();
  expect(deleted?.data).toMatchObject({ id, kind: "ResourceBundle", consumer_name: consumerName });
});

test("who watches without a cursor is told first what is there, and then gets a bookmark", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const ids = Array.from({ length: 230 }, () => crypto.randomUUID());
  await Promise.all(ids.map((id) => spec(doors, { id, consumerName })));

  await using watcher = await watch(doors.bundles);

  const kinds = watcher.events.map(({ event }) => event);
  expect(kinds).toEqual([...ids.map(() => "added"), "bookmark"]);
  expect(watcher.events.map(({ data }) => data.id).slice(0, -1).toSorted()).toEqual(ids.toSorted());
  // Whoever is cut off before the end must begin anew.
  expect(watcher.events.slice(0, -1).every(({ id }) => id === undefined)).toBeTrue();
  expect(watcher.cursor()).not.toBe("");
});

test("M12: three servers on one database: each watcher sees every report, whoever stored it", async () => {
  await using first = await openWatchDoors();
  await using second = await openWatchDoors({ database: first.database });
  await using third = await openWatchDoors({ database: first.database });
  const servers = [first, second, third];
  const consumerName = await first.consumer();
  const ids = Array.from({ length: 30 }, () => crypto.randomUUID());
  const watchers = await Promise.all(servers.map(({ bundles }) => watch(bundles)));

  await Promise.all(ids.map(async (id, index) => {
    const [one = first, other = first] = [servers[index % 3], servers[(index + 1) % 3]];
    await spec(one, { id, consumerName });
    await publish(other.agents, statusEvent({ id, consumerName, message: id }));
  }));

  for (const watcher of watchers) {
    await eventually(() =>
      ids.every((id) => {
        const last = watcher.events.findLast(({ data }) => data.id === id);
        return last?.data.status?.conditions[0].message === id;
      })
    );
    expect(ids.every((id) => watcher.told(id)[0] === "added 1")).toBeTrue();
    await watcher[Symbol.asyncDispose]();
  }
});

test("a watcher that comes back with its cursor, to another server, misses nothing", async () => {
  await using first = await openWatchDoors();
  await using second = await openWatchDoors({ database: first.database });
  const consumerName = await first.consumer();
  const [known, changed, gone] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
  for (const id of [known, changed, gone]) await spec(first, { id, consumerName });
  const before = await watch(first.bundles);
  const cursor = before.cursor();
  await before[Symbol.asyncDispose]();
  const update = { consumerName, action: "update_request" as const, data: bundle("2") };
  await spec(first, { ...update, id: changed });
  await spec(first, { id: gone, consumerName, action: "delete_request" });
  await publish(first.agents, statusEvent({ id: gone, consumerName, isDeleted: true }));

  await using watcher = await watch(second.bundles, { cursor });
  await eventually(() => watcher.told(gone).length > 0);
  await spec(second, { ...update, id: known });
  await eventually(() => watcher.told(known).length > 0);

  expect(watcher.told(changed)).toEqual(["modified 2"]);
  expect(watcher.told(gone)).toEqual(["deleted 1"]);
  expect(watcher.told(known)).toEqual(["modified 2"]);
});

test("more changes than a page come back in the order of each bundle", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const ids = Array.from({ length: 300 }, () => crypto.randomUUID());
  const cursor = encodeCursor(await readNow(doors.db));
  await Promise.all(ids.map((id) => spec(doors, { id, consumerName })));
  for (const version of [2, 3, 4]) {
    const action = "update_request";
    const data = bundle(`${version}`);
    await Promise.all(ids.map((id) => spec(doors, { id, consumerName, action, data })));
  }

  await using watcher = await watch(doors.bundles, { cursor });
  await eventually(() => ids.every((id) => watcher.told(id).at(-1)?.endsWith(" 4")));

  for (const id of ids) {
    const versions = watcher.told(id).map((text) => Number(text.split(" ")[1]));
    expect(versions).toEqual(versions.toSorted());
    expect(watcher.told(id)[0]).toStartWith("added");
  }
});

test("a bundle that begins or ends to pass the search is told as added and deleted", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const [id, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const search = "payload->'metadata'->'labels'->>'tier' = 'gold'";
  await using watcher = await watch(doors.bundles, { search });
  const update = { consumerName, action: "update_request" as const };

  await spec(doors, { id, consumerName, labels: { tier: "none" } });
  await spec(doors, { id: other, consumerName, labels: { tier: "iron" } });
  await spec(doors, { ...update, id, labels: { tier: "gold" }, data: bundle("2") });
  await eventually(() => watcher.told(id).length === 1);
  await spec(doors, { ...update, id, labels: { tier: "gold" }, data: bundle("3") });
  await eventually(() => watcher.told(id).length === 2);
  await spec(doors, { ...update, id, labels: { tier: "iron" }, data: bundle("4") });
  await eventually(() => watcher.told(id).length === 3);
  await spec(doors, { ...update, id, labels: { tier: "lead" }, data: bundle("5") });
  await spec(doors, { ...update, id, labels: { tier: "gold" }, data: bundle("6") });
  await eventually(() => watcher.told(id).length === 4);

  expect(watcher.told(id)).toEqual(["added 2", "modified 3", "deleted 4", "added 6"]);
  expect(watcher.told(other)).toEqual([]);
});

test("a bundle begins and ends to have labels at all", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const [id, other] = [crypto.randomUUID(), crypto.randomUUID()];
  await spec(doors, { id, consumerName });
  await using without = await watch(doors.bundles, { search: "labels is null" });
  await using having = await watch(doors.bundles, { search: "labels is not null" });
  const update = { action: "update_request" as const, consumerName };
  await spec(doors, { ...update, id, labels: { tier: "gold" }, data: bundle("2") });
  await having.waitFor(({ data }) => data.id === id);
  await spec(doors, { ...update, id, data: bundle("3") });
  await without.waitFor(({ data }) => data.version === 3);
  await spec(doors, { id: other, consumerName });
  await spec(doors, { id: `${other}-labels`, consumerName, labels: { tier: "gold" } });
  await without.waitFor(({ data }) => data.id === other);
  await having.waitFor(({ data }) => data.id === `${other}-labels`);

  expect(without.told(id)).toEqual(["added 1", "deleted 2", "added 3"]);
  expect(having.told(id)).toEqual(["added 2", "deleted 3"]);
});

test("a bundle that ends to pass the search, and is gone before anybody looks, is told as deleted", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  const search = "payload->'metadata'->'labels'->>'tier' = 'gold'";
  await spec(doors, { id, consumerName, labels: { tier: "gold" } });
  const before = await watch(doors.bundles, { search });
  const cursor = before.cursor();
  await before[Symbol.asyncDispose]();
  const update = { consumerName, action: "update_request" as const };
  await spec(doors, { ...update, id, labels: { tier: "iron" }, data: bundle("2") });
  await spec(doors, { id, consumerName, action: "delete_request" });
  await publish(doors.agents, statusEvent({ id, consumerName, version: 2, isDeleted: true }));

  await using watcher = await watch(doors.bundles, { search, cursor });
  await eventually(() => watcher.told(id).length > 0);

  expect(before.told(id)).toEqual(["added 1"]);
  expect(watcher.events.filter(({ data }) => data.id === id).map(({ event }) => event)).toEqual([
    "deleted",
  ]);
});

test("a search by consumer keeps the others' bundles away", async () => {
  await using doors = await openWatchDoors();
  const [mine, others] = [await doors.consumer(), await doors.consumer()];
  const [id, other] = [crypto.randomUUID(), crypto.randomUUID()];
  await using watcher = await watch(doors.bundles, { search: `consumer_name = '${mine}'` });

  await spec(doors, { id: other, consumerName: others });
  await spec(doors, { id, consumerName: mine });
  await eventually(() => watcher.told(id).length > 0);

  expect(watcher.told(other)).toEqual([]);
});

test("cursors that we never wrote are 400, and those that cannot go on are 410, with the reason", async () => {
  await using doors = await openWatchDoors();
  const now = await readNow(doors.db);
  const ask = async (cursor: string) => {
    const answer = await fetch(`${doors.bundles}?watch=true&cursor=${encodeURIComponent(cursor)}`);
    const body = await answer.json() as { reason: string };
    return `${answer.status} ${body.reason}`;
  };
  const plain = (text: string) => Buffer.from(text).toString("base64url");

  for (
    const hostile of [
      ...["x", "' or 1=1", "🙂", "a".repeat(5000), plain("1.aaaaaaaaaaaa.1"), "\0"],
      ...[plain("2.aaaaaaaaaaaa.1.1"), plain("1.aaaaaaaaaaaa.99999999999999999999.1")],
      ...[plain("1.aaaaaaaaaaaa.1.9999999999999999999"), plain("1.aaaaaaaaaaaa.-1.1")],
    ]
  ) expect(await ask(hostile)).toStartWith("400 Cannot read the cursor");
  const elsewhere = encodeCursor({ ...now, epoch: "0123456789ab" });
  expect(await ask(elsewhere)).toContain("410 The cursor is too old, list again: it is of another");
  const ahead = encodeCursor({ ...now, xid: `${BigInt(now.xid) + 100_000n}` });
  expect(await ask(ahead)).toContain(
    "410 The cursor is too old, list again: it is of a later time",
  );
  // The next transaction may be the very one that the cursor has as its end.
  await query(doors.db, "select pg_current_xact_id()", []);
  await query(doors.db, "update feed set horizon_xid = pg_current_xact_id()", []);
  expect(await ask(encodeCursor(now))).toContain("410 The cursor is too old, list again: what");
});

test(
  "M23: a watcher that does not read is ended with its cursor, and the others go on",
  async () => {
    await using doors = await openWatchDoors({ waitingMax: 100 });
    const consumerName = await doors.consumer();
    const cursor = encodeCursor(await readNow(doors.db));
    const socket = connect(doors.port, "127.0.0.1");
    let received = "";
    socket.write(
      `GET /api/maestro/v1/resource-bundles?watch=true&cursor=${cursor} HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    await new Promise<void>((resolve) =>
      socket.once("data", (bytes) => {
        received += bytes;
        resolve();
      })
    );
    socket.pause();
    await using watcher = await watch(doors.bundles);
    const data = bundle("x".repeat(200_000));
    const ids = Array.from({ length: 300 }, () => crypto.randomUUID());

    for (const id of ids) await spec(doors, { id, consumerName, data });
    await eventually(() => ids.every((id) => watcher.told(id).length > 0));
    socket.on("data", (bytes) => received += bytes);
    socket.resume();
    await eventually(() => received.includes("event: error"));
    socket.destroy();

    const error = JSON.parse(/event: error\ndata: (.*)\n/.exec(received)?.[1] ?? "null");
    expect(error).toMatchObject({
      status: 429,
      reason: expect.stringContaining("too many events"),
    });
    const seen = ids.filter((id) => received.includes(`"id":"${id}"`));
    expect(seen.length).toBeLessThan(ids.length);
    await using back = await watch(doors.bundles, { cursor: error.cursor });
    await eventually(() => ids.every((id) => seen.includes(id) || back.told(id).length > 0));
  },
  60_000,
);

test("a bookmark comes now and then with a newer cursor, though nothing happens here", async () => {
  await using doors = await openWatchDoors({ heartbeatMs: 50 });
  await using watcher = await watch(doors.bundles, { search: "name = 'nobody'" });

  const id = crypto.randomUUID();
  await spec(doors, { id, consumerName: await doors.consumer() });
  const [entry] = await query<{ xid: string; id: string }>(
    doors.db,
    "select xid::text as xid, id from changes where resource_id = $1",
    [id],
  );
  const place = entry ?? { xid: "0", id: "0" };
  await eventually(() => comparePositions(decodeCursor(watcher.cursor()), place) >= 0);

  expect(watcher.events.every(({ event }) => event === "bookmark")).toBeTrue();
  await using back = await watch(doors.bundles, { cursor: watcher.cursor() });
  expect(back.told(id)).toEqual([]);
});

test("at shutdown streams end at once, with the cursor to go on from", async () => {
  await using doors = await openWatchDoors();
  await using watcher = await watch(doors.bundles);

  doors.watchers.close();
  await watcher.ended;

  const last = watcher.events.at(-1);
  expect(last).toMatchObject({ event: "error", data: { status: 503 } });
  expect(last?.data.cursor).toBeString();
  expect((await fetch(`${doors.bundles}?watch=true`)).status).toBe(503);
});

test("a watch ends when its token does, and makes room", async () => {
  let untilMs = Infinity;
  await using doors = await openWatchDoors({
    watchersMax: 1,
    authenticate: () =>
      Promise.resolve({ name: "ada", groups: [], claims: {}, isAdmin: false, untilMs }),
  });
  untilMs = Date.now() + 300;

  const text = await (await fetch(`${doors.bundles}?watch=true`)).text();

  expect(Date.now()).toBeGreaterThanOrEqual(untilMs);
  const [error, end] = text.split("\n\n").slice(-2);
  expect(error).toStartWith("event: error\ndata: ");
  expect(JSON.parse(error?.split("data: ")[1] ?? "")).toMatchObject({
    status: 401,
    reason: "the token has expired: come back with another",
  });
  expect(end).toBe("");
  untilMs = Infinity;
  await using back = await watch(doors.bundles);
  expect(back.status).toBe(200);
});

test("who has left is not ended when the token does", async () => {
  await using doors = await openWatchDoors();
  const ended: string[] = [];
  const soonMs = Date.now() + 50;

  doors.watchers.admit(() => ended.push("left"), soonMs)();
  await new Promise<void>((resolve) => void doors.watchers.admit(() => resolve(), soonMs + 50));

  expect(ended).toEqual([]);
});

test("HEAD opens no stream, and what does not go together is refused", async () => {
  await using doors = await openWatchDoors({ watchersMax: 0 });

  const head = await fetch(`${doors.bundles}?watch=true`, { method: "HEAD" });
  const answers = await Promise.all(
    ["watch=maybe", "watch=true&page=2", "watch=true&search=x", "watch=true&limit=2"].map((text) =>
      fetch(`${doors.bundles}?${text}`)
    ),
  );
  const unfollowed = await fetch(`${doors.bundles}?watch=true&search=updated_at is not null`);

  expect(head.status).toBe(200);
  expect(head.headers.get("content-type")).toBe("text/event-stream");
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400]);
  expect(unfollowed.status).toBe(400);
  expect(await unfollowed.json()).toMatchObject({
    reason: expect.stringMatching(/^a watch cannot follow updated_at; it can follow id, name/),
  });
});
