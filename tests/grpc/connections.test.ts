/** What a connection may do, and how it ends. */

import { expect, test } from "bun:test";
import http2 from "node:http2";
import net from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import { createPingGuard } from "../../src/lib/grpc/pings.ts";
import { query } from "../../src/lib/db/query.ts";
import { readLines } from "../harness/lines.ts";
import { openDoors } from "../harness/doors.ts";
import { specEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { openPublisher, subscribe } from "../harness/grpc.ts";
import { openHttp2, serveSlowly } from "./slow_server.ts";
import type { Word } from "./slow_to_pong.ts";

const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
const ENHANCE_YOUR_CALM = 11;

test("a client that pings more often than allowed is told to calm down", async () => {
  await using server = await serveSlowly({ args: ["--grpc-client-min-ping-interval", "1m"] });
  await using client = openHttp2(server.port);
  client.send(SUBSCRIBE);
  await eventually(() => server.streams.length === 1);

  for (let count = 0; count < 4; count++) await client.ping();

  const { code, words, lastStreamId } = await client.goaway;
  expect([code, words]).toEqual([ENHANCE_YOUR_CALM, "too_many_pings"]);
  // Its call was begun here, so it must not be begun again elsewhere.
  expect(lastStreamId).toBe(1);
  await client.closed;
});

test("pings at the allowed pace are welcome for ever", async () => {
  await using server = await serveSlowly({ args: ["--grpc-client-min-ping-interval", "20ms"] });
  await using client = openHttp2(server.port);
  client.send(SUBSCRIBE);

  for (let count = 0; count < 8; count++) {
    await Bun.sleep(30);
    await client.ping();
  }

  expect(client.isOpen()).toBeTrue();
});

test("what is sent makes pings welcome again, as clients measure their bandwidth by them", async () => {
  await using server = await serveSlowly({ args: ["--grpc-client-min-ping-interval", "1m"] });
  await using client = openHttp2(server.port);
  client.send(SUBSCRIBE);
  await eventually(() => server.streams.length === 1);

  for (let count = 0; count < 8; count++) {
    server.streams[0]?.write(new Uint8Array(10));
    await client.ping();
  }

  expect(client.isOpen()).toBeTrue();
});

test("without an open call pings are too early within two hours, unless they are allowed", () => {
  const strict = createPingGuard({ minMs: 1_000, isIdleAllowed: false });
  const lenient = createPingGuard({ minMs: 1_000, isIdleAllowed: true });
  const atMs = [0, 60_000, 120_000, 180_000];

  const [idle, allowed] = [strict, lenient].map((guard) =>
    atMs.map((nowMs) => guard.count(nowMs, { hasStreams: false }))
  );

  expect(idle).toEqual([false, false, false, true]);
  expect(allowed).toEqual([false, false, false, false]);
});

test("what was sent forgives all pings before it, not only the next", () => {
  const guard = createPingGuard({ minMs: 1_000, isIdleAllowed: false });
  const ping = (nowMs: number) => guard.count(nowMs, { hasStreams: true });

  const before = [0, 1, 2].map(ping);
  guard.forgive();
  const after = [3, 4, 5, 6].map(ping);

  expect(before).toEqual([false, false, false]);
  expect(after).toEqual([false, false, false, true]);
});

test("a server that was held up itself reads the answers to its pings before it gives a client up", async () => {
  const args = ["--grpc-server-ping-interval", "300ms", "--grpc-server-ping-timeout", "300ms"];
  await using server = await serveSlowly({ args });
  const script = join(import.meta.dir, "slow_to_pong.ts");
  await using client = Bun.spawn([process.execPath, script, String(server.port)], {
    stdout: "pipe",
  });
  const said: string[] = [];
  for await (const line of readLines(client.stdout)) {
    said.push(line);
    // Its answer arrives meanwhile, and its time is over when we go on.
    if (said.length === 1) Bun.sleepSync(1_000);
    if (line !== "pinged" || said.length === 3) break;
  }
  client.kill();

  const pinged: Word = "pinged";
  expect(said).toEqual([pinged, pinged, pinged]);
});

test("a client that never speaks HTTP/2 is let go", async () => {
  await using server = await serveSlowly({ args: ["--grpc-connection-timeout", "1s"] });
  const socket = net.connect(server.port, "127.0.0.1");
  const closed = new Promise<void>((resolve) => socket.resume().once("close", () => resolve()));
  await using client = openHttp2(server.port);

  await closed;
  await Bun.sleep(1_100);

  expect(client.isOpen()).toBeTrue();
});

test("a request whose message does not come in time is refused, and its place is free", async () => {
  const args = ["--grpc-connection-timeout", "200ms", "--grpc-max-concurrent-streams", "1"];
  await using server = await serveSlowly({ args });
  await using client = openHttp2(server.port);

  const { status } = await client.begin(PUBLISH);
  const next = client.call(PUBLISH);
  await eventually(() => server.waiting() === 1);
  server.release();

  expect([status, (await next).status]).toEqual(["4", "0"]);
});

test("calls above the limit of a connection are refused as exhausted, and those below go on", async () => {
  await using server = await serveSlowly({ args: ["--grpc-max-concurrent-streams", "2"] });
  await using client = openHttp2(server.port);
  const first = [client.call(PUBLISH), client.call(PUBLISH)];
  await eventually(() => server.waiting() === 2);

  const above = await client.call(PUBLISH);
  await using other = openHttp2(server.port);
  const elsewhere = other.call(PUBLISH);
  await eventually(() => server.waiting() === 3);
  server.release();
  const below = await Promise.all([...first, elsewhere]);
  const after = client.call(PUBLISH);
  await eventually(() => server.waiting() === 1);
  server.release();

  expect(above.status).toBe(String(RESOURCE_EXHAUSTED));
  expect(above.message).toContain("at most 2");
  expect([...below, await after].map(({ status }) => status)).toEqual(["0", "0", "0", "0"]);
});

test("a call that its client has given up counts until its work is done", async () => {
  await using server = await serveSlowly({ args: ["--grpc-max-concurrent-streams", "1"] });
  await using client = openHttp2(server.port);
  const given = client.send(PUBLISH);
  await eventually(() => server.waiting() === 1);
  given.close(http2.constants.NGHTTP2_CANCEL);
  await new Promise((resolve) => given.once("close", resolve));

  const meanwhile = await client.call(PUBLISH);
  server.release();
  const after = client.call(PUBLISH);
  await eventually(() => server.waiting() === 1);
  server.release();

  expect([meanwhile.status, (await after).status]).toEqual([String(RESOURCE_EXHAUSTED), "0"]);
});

/** A message as it travels. */
function framed(message: Uint8Array, { isCompressed = false } = {}): Uint8Array {
  const head = Buffer.from([isCompressed ? 1 : 0, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

test("what requests hold together has a limit: beyond it they are refused, until others have ended", async () => {
  await using server = await serveSlowly({ heldBytesMax: 100_000 });
  await using client = openHttp2(server.port);
  await using other = openHttp2(server.port);
  const large = framed(new Uint8Array(60_000));
  const compressed = framed(gzipSync(large), { isCompressed: true });
  const gzip = { "grpc-encoding": "gzip" };
  /** How a call ends that is answered as soon as it waits. */
  const ending = async (...asked: Parameters<typeof other.call>) => {
    let status: string | undefined;
    const call = other.call(...asked).then((end) => status = end.status);
    await eventually(() => status !== undefined || server.waiting() > 0);
    server.release();
    return await call;
  };
  expect([await ending(PUBLISH, large), await ending(PUBLISH, compressed, gzip)]).toEqual([
    "0",
    "0",
  ]);

  // One whose message is never whole.
  const trickling = client.trickle(PUBLISH, large.subarray(0, 50_000));
  await eventually(async () => await ending(PUBLISH, large) === "8");
  trickling.close(http2.constants.NGHTTP2_CANCEL);
  await eventually(async () => await ending(PUBLISH, large) === "0");

  // One that is not answered yet.
  const waiting = client.call(PUBLISH, large);
  await eventually(() => server.waiting() === 1);
  expect((await other.call(PUBLISH, large)).status).toBe("8");
  expect((await other.call(PUBLISH, compressed, gzip)).status).toBe("8");
  server.release();
  expect((await waiting).status).toBe("0");

  // A subscription has been read once it is served.
  client.send(SUBSCRIBE, large);
  await eventually(() => server.streams.length === 1);
  expect(await ending(PUBLISH, large)).toBe("0");
});

test("a message above the limit for sending ends its stream as exhausted, in grpc-go's words", async () => {
  await using server = await serveSlowly({ args: ["--grpc-max-send-message-size", "2000"] });
  await using client = openHttp2(server.port);
  const ended = client.call(SUBSCRIBE);
  await eventually(() => server.streams.length === 1);

  server.streams[0]?.write(new Uint8Array(2_001));

  expect(await ended).toMatchObject({
    status: String(RESOURCE_EXHAUSTED),
    message: "trying to send message larger than max (2001 vs. 2000)",
  });
});

test("a connection that has reached its age is drained: calls finish, streams end as unavailable", async () => {
  await using server = await serveSlowly({ args: ["--grpc-max-connection-age", "500ms"] });
  await using client = openHttp2(server.port);
  const stream = client.call(SUBSCRIBE);
  const call = client.call(PUBLISH);
  await eventually(() => server.waiting() === 1);

  const { code, words } = await client.goaway;
  const ended = await stream;
  server.release();

  expect([code, words]).toEqual([0, "max_age"]);
  expect([ended.status, (await call).status]).toEqual([String(UNAVAILABLE), "0"]);
  await client.closed;
});

test("at shutdown calls under way finish and no new one is taken", async () => {
  await using server = await serveSlowly();
  await using client = openHttp2(server.port);
  const call = client.call(PUBLISH);
  const stream = client.call(SUBSCRIBE);
  await eventually(() => server.waiting() === 1);

  const closing = server[Symbol.asyncDispose]();
  const ended = await stream;
  const { words } = await client.goaway;
  const refusal = await connectRefusal(server.port);
  server.release();
  const finished = await call;
  await closing;

  expect(ended).toMatchObject({ status: "14", message: "the server is shutting down" });
  expect(words).toBe("graceful_stop");
  expect(refusal).toBe("ECONNREFUSED");
  expect(finished.status).toBe("0");
  await client.closed;
});

test("at shutdown nothing that was accepted is lost, and what was not is known to be so", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  using publisher = openPublisher(doors.sources);
  await using source = await subscribe(doors.sources, { source: "tests" });
  const accepted: string[] = [];
  const codes = new Set<number>();
  const callers = Array.from({ length: 16 }, async () => {
    for (;;) {
      const id = crypto.randomUUID();
      const event = specEvent({ id, consumerName });
      const code = await publisher.publish(event, { timeoutMs: 5_000 })
        .then(() => 0, (error) => Number(error.code));
      if (code === 0) accepted.push(id);
      else return void codes.add(code);
    }
  });
  await eventually(() => accepted.length > 100);

  await doors.close();
  await Promise.all(callers);

  const rows = await query<{ id: string }>(doors.db, "select id from resources", []);
  const stored = new Set(rows.map(({ id }) => id));
  expect(accepted.filter((id) => !stored.has(id))).toEqual([]);
  expect([...codes]).toEqual([UNAVAILABLE]);
  expect((await source.ended).code).toBe(UNAVAILABLE);
});

/** The code of the error that a connection meets. */
function connectRefusal(port: number): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("error", (error: { code?: string }) => resolve(error.code ?? ""));
    socket.once("connect", () => {
      socket.destroy();
      resolve("connected");
    });
  });
}

test("a client may have a megabyte on its way over one connection", async () => {
  await using server = await serveSlowly();
  const socket = net.connect(server.port, "127.0.0.1");
  const noSettings = "\0\0\0\x04\0\0\0\0\0";
  socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${noSettings}`, "latin1");
  let heard = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => heard = Buffer.concat([heard, chunk]));

  const windowUpdate = Buffer.from("\0\0\x04\x08\0\0\0\0\0", "latin1");
  await eventually(() => heard.includes(windowUpdate));

  const increment = heard.readUInt32BE(heard.indexOf(windowUpdate) + windowUpdate.length);
  expect(65_535 + increment).toBe(1024 * 1024);
  socket.destroy();
});
