/** Flow control towards clients that widen their windows while streams are open, as grpc-go does. */

import { expect, test } from "bun:test";
import net from "node:net";
import { SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import { eventually } from "../harness/eventually.ts";
import { FRAME, http2Frame as frame } from "./odd_server.ts";
import { openHttp2, serveSlowly } from "./slow_server.ts";

const { DATA, HEADERS, SETTINGS, WINDOW_UPDATE } = FRAME;
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const INITIAL = 65_535;

function windowUpdate(streamId: number, increment: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(increment);
  return frame(WINDOW_UPDATE, 0, streamId, payload);
}

function initialWindow(bytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(4);
  payload.writeUInt32BE(bytes, 2);
  return frame(SETTINGS, 0, 0, payload);
}

function field(name: string, value: string): Buffer {
  const sized = (text: string) => Buffer.from([text.length, ...Buffer.from(text)]);
  return Buffer.concat([Buffer.from([0]), sized(name), sized(value)]);
}

/** A request with an empty message. */
function request(streamId: number): Buffer {
  const fields = [
    field(":method", "POST"),
    field(":scheme", "http"),
    field(":path", SUBSCRIBE),
    field(":authority", "test"),
    field("content-type", "application/grpc"),
  ];
  return Buffer.concat([
    frame(HEADERS, 4, streamId, Buffer.concat(fields)),
    frame(DATA, 1, streamId, Buffer.alloc(5)),
  ]);
}

/** A client that writes what a test says, and counts the bytes of data it gets. */
async function openRaw(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  let received = 0;
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const length = rest.readUIntBE(0, 3);
      if (rest[3] === DATA) received += length;
      rest = rest.subarray(9 + length);
    }
  });
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return {
    write: (...frames: Buffer[]) => void socket.write(Buffer.concat(frames)),
    received: () => received,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

test("a stream that was given more than the least may use it all after the windows are widened", async () => {
  await using server = await serveSlowly();
  using client = await openRaw(server.port);
  client.write(PREFACE, frame(SETTINGS, 0, 0), request(1), windowUpdate(0, 10_000_000));
  await eventually(() => server.streams.length === 1);
  const granted = INITIAL + 200_000 + 100_000 + 300_000;

  server.streams[0]?.write(new Uint8Array(2_000_000));
  await eventually(() => client.received() === INITIAL);
  client.write(windowUpdate(1, 200_000));
  await eventually(() => client.received() === INITIAL + 200_000);
  client.write(initialWindow(INITIAL + 100_000));
  await eventually(() => client.received() === INITIAL + 300_000);
  client.write(initialWindow(INITIAL + 400_000));
  await eventually(() => client.received() === granted);
  await Bun.sleep(100);

  expect(client.received()).toBe(granted);
});

test.each([["before", 0, INITIAL + 60_000], ["after", 1, INITIAL + 10_000]])(
  "a stream that opens right %s a change of the windows has neither more nor less than it was given",
  async (_, index, granted) => {
    await using server = await serveSlowly();
    using client = await openRaw(server.port);

    client.write(
      ...[PREFACE, frame(SETTINGS, 0, 0), windowUpdate(0, 10_000_000)],
      ...[request(1), windowUpdate(1, 50_000), initialWindow(INITIAL + 10_000), request(3)],
    );
    await eventually(() => server.streams.length === 2);
    server.streams[index]?.write(new Uint8Array(2_000_000));

    await eventually(() => client.received() === granted);
    await Bun.sleep(100);
    expect(client.received()).toBe(granted);
  },
);

test("a call is answered though another stream of its connection is full", async () => {
  await using server = await serveSlowly();
  using client = await openRaw(server.port);
  client.write(PREFACE, frame(SETTINGS, 0, 0), windowUpdate(0, 10_000_000), request(1), request(3));
  await eventually(() => server.streams.length === 2);
  server.streams[0]?.write(new Uint8Array(2_000_000));
  await eventually(() => client.received() === INITIAL);

  server.streams[1]?.write(new Uint8Array(1_000));

  await eventually(() => client.received() === INITIAL + 1_005, Boolean, { timeoutMs: 2_000 });
});

test("a large message on its way may be answered with any number of pings", async () => {
  await using server = await serveSlowly();
  await using client = openHttp2(server.port);
  const stream = client.send(SUBSCRIBE);
  let [pings, bytes] = [0, 0];
  let isAwaited = false;
  // One at a time, and each after some data: so grpc-go measures its bandwidth.
  const ping = async () => {
    isAwaited = true;
    pings++;
    await client.ping();
    isAwaited = false;
  };
  stream.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (!isAwaited) void ping();
  });
  await eventually(() => server.streams.length === 1);

  server.streams[0]?.write(new Uint8Array(4 * 1024 * 1024));

  await eventually(() => bytes === 4 * 1024 * 1024 + 5);
  expect(pings).toBeGreaterThan(3);
  expect(client.isOpen()).toBeTrue();
});
