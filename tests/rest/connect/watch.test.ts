/** Watching over Connect and gRPC-Web: the same promises as with server-sent events, and how a watch ends. */

import { expect, test } from "bun:test";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { CloudEventService } from "../../../src/gen/cloudevent_pb.ts";
import { ResourceBundleService } from "../../../src/gen/maestro/v1/resource_bundle_pb.ts";
import { encodeCursor } from "../../../src/lib/status/cursor.ts";
import { readNow } from "../../../src/lib/status/feed_page.ts";
import {
  type BundleClient,
  bundleClient,
  cursorOf,
  transports,
  watchMessages,
} from "../../harness/connect.ts";
import { bundle, specEvent, statusEvent } from "../../harness/events.ts";
import { eventually } from "../../harness/eventually.ts";
import { publish } from "../../harness/grpc.ts";
import { openWatchDoors, type WatchDoors } from "../../harness/watch.ts";

const PATH = "/maestro.v1.ResourceBundleService/Watch";
const CONTENT_TYPE = "application/connect+json";

/** A message with its head: a flag and its length. */
function envelope(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** Resolves once there is room for a watcher again, of which only one may be there. */
function untilReleased(client: BundleClient): Promise<true> {
  return eventually(async () => {
    await using watcher = await watchMessages(client);
    return watcher.events.length > 0;
  }) as Promise<true>;
}

/** Subscribes as a source does. */
function subscribe(rest: string) {
  const client = createClient(CloudEventService, transports(rest)["gRPC-Web"]);
  const begun = Promise.withResolvers<void>();
  const read = async () => {
    try {
      for await (const _ of client.subscribe({ source: "tests" })) begun.resolve();
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    }
  };
  return { begun: begun.promise, ended: read() };
}

function update(doors: WatchDoors, id: string, consumerName: string, value: string): Promise<void> {
  const data = bundle(value);
  return publish(
    doors.sources,
    specEvent({ id, consumerName, action: "update_request", data }),
  );
}

test("a watcher is told of a bundle's whole life, over every protocol", async () => {
  await using doors = await openWatchDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  const watchers = await Promise.all(
    Object.values(transports(doors.rest)).map((transport) =>
      watchMessages(createClient(ResourceBundleService, transport))
    ),
  );
  const told = (count: number) =>
    eventually(() => watchers.every((watcher) => watcher.told(id).length >= count));

  await publish(doors.sources, specEvent({ id, consumerName }));
  await told(1);
  await update(doors, id, consumerName, "2");
  await told(2);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 2, message: "up" }));
  await told(3);
  await bundleClient(doors.rest).delete({ id });
  await told(4);
  await publish(doors.agents, statusEvent({ id, consumerName, version: 2, isDeleted: true }));
  await told(5);

  for (const watcher of watchers) {
    expect(watcher.told(id)).toEqual([
      ...["ADDED 1", "MODIFIED 2", "MODIFIED 2", "MODIFIED 2", "DELETED 2"],
    ]);
    const seen = watcher.events.filter(({ resourceBundle }) => resourceBundle?.id === id);
    const [reported, deleting, deleted] = seen.slice(-3);
    expect(reported?.resourceBundle?.status?.conditions[0]?.message).toBe("up");
    expect(deleting?.resourceBundle?.deletedAt).toBeDefined();
    expect(deleted?.resourceBundle?.delivery).toBeUndefined();
    await watcher[Symbol.asyncDispose]();
  }
});

test("a watcher that comes back with its cursor, to another server, misses nothing", async () => {
  await using first = await openWatchDoors();
  await using second = await openWatchDoors({ database: first.database });
  const consumerName = await first.consumer();
  const [known, gone] = [crypto.randomUUID(), crypto.randomUUID()];
  for (const id of [known, gone]) await publish(first.sources, specEvent({ id, consumerName }));
  const before = await watchMessages(bundleClient(first.rest));
  await before[Symbol.asyncDispose]();
  await update(first, known, consumerName, "2");
  await bundleClient(first.rest).delete({ id: gone });
  await publish(first.agents, statusEvent({ id: gone, consumerName, isDeleted: true }));

  await using watcher = await watchMessages(bundleClient(second.rest), {
    cursor: before.cursor(),
    search: `consumer_name = '${consumerName}'`,
  });
  await eventually(() => watcher.told(gone).length > 0);

  expect(before.told(known)).toEqual(["ADDED 1"]);
  expect(watcher.told(known)).toEqual(["MODIFIED 2"]);
  expect(watcher.events.find(({ resourceBundle }) => resourceBundle?.id === gone)).toMatchObject({
    resourceBundle: { id: gone, source: "tests", consumerName },
  });
});

test("a cursor that is no good, and one that is too old, are told apart", async () => {
  await using doors = await openWatchDoors();
  const now = await readNow(doors.db);
  const ask = async (request: { cursor?: string; search?: string }) => {
    await using watcher = await watchMessages(bundleClient(doors.rest), request);
    return Code[(await watcher.ended)?.code ?? 0];
  };

  expect(await ask({ cursor: "x" })).toBe("InvalidArgument");
  expect(await ask({ search: "drop table" })).toBe("InvalidArgument");
  expect(await ask({ cursor: encodeCursor({ ...now, epoch: "0123456789ab" }) })).toBe("OutOfRange");
});

test("beyond the most watchers a watch and a subscription are refused", async () => {
  await using doors = await openWatchDoors({ watchersMax: 1 });
  const client = bundleClient(doors.rest);
  const one = await watchMessages(client);

  await using refused = await watchMessages(client);
  const error = await refused.ended;
  const subscribed = await subscribe(doors.rest).ended;
  await one[Symbol.asyncDispose]();
  await untilReleased(client);

  expect(Code[error?.code ?? 0]).toBe("ResourceExhausted");
  expect(error?.rawMessage).toBe("this server has 1 watchers, and takes no more");
  expect(subscribed?.rawMessage).toBe(error?.rawMessage);
});

test("a browser that goes away releases its watch at once, over HTTP/1.1 and HTTP/2", async () => {
  await using doors = await openWatchDoors({ watchersMax: 1 });
  const client = bundleClient(doors.rest);
  // The second is quiet: nothing comes by which it would be noticed that nobody reads.
  const oldFashioned = connect(doors.port, "127.0.0.1");
  const body = envelope("{}");
  oldFashioned.write(
    `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: ${CONTENT_TYPE}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n`,
  );
  oldFashioned.write(body);
  await new Promise((resolve) => oldFashioned.once("data", resolve));
  oldFashioned.destroy();
  await untilReleased(client);

  const session = connectHttp2(doors.rest);
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": CONTENT_TYPE,
  });
  stream.end(body);
  await new Promise((resolve) => stream.once("data", resolve));
  stream.close();
  await untilReleased(client);
  session.destroy();
});

test("a watch ends with its deadline, and is released", async () => {
  await using doors = await openWatchDoors({ watchersMax: 1 });
  const client = bundleClient(doors.rest);
  const answer = await fetch(doors.rest + PATH, {
    method: "POST",
    headers: { "Content-Type": CONTENT_TYPE, "Connect-Timeout-Ms": "200" },
    body: envelope("{}"),
  });

  const text = await answer.text();
  await untilReleased(client);

  expect(text).toContain('"code":"deadline_exceeded"');
});

test("at shutdown watches end as unavailable, with the cursor to go on from", async () => {
  await using doors = await openWatchDoors();
  const watchers = await Promise.all(
    Object.values(transports(doors.rest)).map((transport) =>
      watchMessages(createClient(ResourceBundleService, transport))
    ),
  );

  const subscription = subscribe(doors.rest);
  await subscription.begun;

  doors.watchers.close();

  expect(Code[(await subscription.ended)?.code ?? 0]).toBe("Unavailable");
  for (const watcher of watchers) {
    const error = await watcher.ended;
    expect(Code[error?.code ?? 0]).toBe("Unavailable");
    expect(cursorOf(error)).toBeTruthy();
  }
});

test("watches and subscriptions end when their token does, as unauthenticated", async () => {
  let untilMs = Infinity;
  await using doors = await openWatchDoors({
    authenticate: () =>
      Promise.resolve({ name: "ada", groups: [], claims: {}, isAdmin: false, untilMs }),
  });
  untilMs = Date.now() + 300;
  await using watcher = await watchMessages(bundleClient(doors.rest));

  for (const error of [await watcher.ended, await subscribe(doors.rest).ended]) {
    expect(Code[error?.code ?? 0]).toBe("Unauthenticated");
    expect(error?.rawMessage).toBe("the token has expired: come back with another");
  }
});

test(
  "M23: a watcher that does not read is ended with its cursor, and the others go on",
  async () => {
    await using doors = await openWatchDoors({ waitingMax: 20 });
    const consumerName = await doors.consumer();
    const cursor = encodeCursor(await readNow(doors.db));
    const socket = connect(doors.port, "127.0.0.1");
    const received: Buffer[] = [];
    const body = envelope(JSON.stringify({ cursor }));
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: ${CONTENT_TYPE}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
    await new Promise<void>((resolve) =>
      socket.once("data", (bytes) => {
        received.push(Buffer.from(bytes));
        resolve();
      })
    );
    socket.pause();
    await using watcher = await watchMessages(bundleClient(doors.rest));
    const data = bundle("x".repeat(200_000));
    const ids = Array.from({ length: 200 }, () => crypto.randomUUID());

    for (let from = 0; from < ids.length; from += 10) {
      const some = ids.slice(from, from + 10);
      await Promise.all(
        some.map((id) => publish(doors.sources, specEvent({ id, consumerName, data }))),
      );
      // Whoever reads is told, and does not become a slow reader by our haste.
      await eventually(() => some.every((id) => watcher.told(id).length > 0));
    }
    socket.on("data", (bytes) => received.push(Buffer.from(bytes)));
    socket.resume();
    await eventually(() => received.slice(-3).join("").includes("resource_exhausted"));
    socket.destroy();

    const text = received.join("");
    const seen = [...text.matchAll(/"id":"([0-9a-f-]{36})"/g)].map(([, id]) => id);
    expect(seen.length).toBeLessThan(ids.length);
    const [, end = ""] = /"type":"maestro.v1.WatchEnd"[^}]*"cursor":"([\w-]+)"/.exec(text) ?? [];
    expect(end).not.toBe("");
    await using other = await openWatchDoors({ database: doors.database });
    await using back = await watchMessages(bundleClient(other.rest), { cursor: end });
    const missed = ids.filter((id) => !seen.includes(id));
    await eventually(() => missed.every((id) => back.told(id).length > 0));
  },
  60_000,
);
