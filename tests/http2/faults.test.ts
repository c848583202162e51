/** Peers that break the rules of HTTP/2: what each of them is told, and what goes on. */

import { expect, test } from "bun:test";
import { eventually } from "../harness/eventually.ts";
import { CODE, FLAG, FRAME, frame, PREFACE } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import { fieldsWith, GREETING, numbered, openSpoken, request, setting } from "./spoken.ts";

const STREAMS_MAX = 2_000;
const NO_END = { isEnd: false };
const MOST = 2 ** 31 - 1;
const nothing = Buffer.alloc(0);
const headers = (flags: number, streamId: number, block: Buffer) =>
  frame(FRAME.headers, flags, streamId, block);
const block = encodeBlock(fieldsWith());

test.each<[string, number, Buffer[]]>([
  ["a wrong preface", CODE.protocolError, [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]],
  ["a request before the settings", CODE.protocolError, [PREFACE, request(1)]],
  ["a frame that is too large", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.data, 0, 1, Buffer.alloc(16_385)),
  ]],
  ["settings that are cut off", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.settings, 0, 0, block.subarray(0, 5)),
  ]],
  ["settings of a stream", CODE.protocolError, [GREETING, frame(FRAME.settings, 0, 1)]],
  ["an acknowledgement with content", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6)),
  ]],
  ["a window that is too large from the start", CODE.flowControlError, [
    GREETING,
    setting(4, 2 ** 31),
  ]],
  ["frames that are too small", CODE.protocolError, [GREETING, setting(5, 16_383)]],
  ["a push that is half allowed", CODE.protocolError, [GREETING, setting(2, 2)]],
  ["a ping of seven bytes", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.ping, 0, 0, Buffer.alloc(7)),
  ]],
  ["a ping of a stream", CODE.protocolError, [GREETING, frame(FRAME.ping, 0, 1, Buffer.alloc(8))]],
  ["a goodbye that is cut off", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.goaway, 0, 0, Buffer.alloc(7)),
  ]],
  ["a body without a stream", CODE.protocolError, [GREETING, frame(FRAME.data, 0, 0, block)]],
  ["a body of a stream that has not begun", CODE.protocolError, [
    GREETING,
    frame(FRAME.data, 0, 1, block),
  ]],
  ["a reset of a stream that has not begun", CODE.protocolError, [
    GREETING,
    numbered(FRAME.rstStream, 3, 8),
  ]],
  ["a reset of a wrong size", CODE.frameSizeError, [
    GREETING,
    request(1),
    frame(FRAME.rstStream, 0, 1, Buffer.alloc(3)),
  ]],
  ["a window of a stream that has not begun", CODE.protocolError, [
    GREETING,
    numbered(FRAME.windowUpdate, 3, 8),
  ]],
  ["a window that grows by nothing", CODE.protocolError, [
    GREETING,
    numbered(FRAME.windowUpdate, 0, 0),
  ]],
  ["a window of a wrong size", CODE.frameSizeError, [
    GREETING,
    frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(3)),
  ]],
  ["a window that grows without end", CODE.flowControlError, [
    GREETING,
    numbered(FRAME.windowUpdate, 0, MOST),
  ]],
  ["streams whose windows the settings make too large", CODE.flowControlError, [
    GREETING,
    request(1),
    numbered(FRAME.windowUpdate, 1, 100),
    setting(4, MOST),
  ]],
  ["a stream of the server's", CODE.protocolError, [GREETING, request(2)]],
  ["a priority without a stream", CODE.protocolError, [
    GREETING,
    frame(FRAME.priority, 0, 0, Buffer.alloc(5)),
  ]],
  ["a push", CODE.protocolError, [GREETING, request(1), frame(FRAME.pushPromise, 4, 1, block)]],
  ["headers that go on without a start", CODE.protocolError, [
    GREETING,
    frame(FRAME.continuation, FLAG.endHeaders, 1, block),
  ]],
  ["a frame between headers", CODE.protocolError, [
    GREETING,
    headers(0, 1, block),
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
  ]],
  ["headers that go on in another stream", CODE.protocolError, [
    GREETING,
    headers(0, 1, block),
    frame(FRAME.continuation, FLAG.endHeaders, 3, block),
  ]],
  ["headers in very many frames", CODE.enhanceYourCalm, [
    GREETING,
    headers(0, 1, block),
    ...Array.from({ length: 20 }, () => frame(FRAME.continuation, 0, 1)),
  ]],
  ["headers that are far too large", CODE.enhanceYourCalm, [
    GREETING,
    headers(0, 1, block),
    ...Array.from({ length: 5 }, () => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384))),
  ]],
  ["headers that cannot be read", CODE.compressionError, [
    GREETING,
    headers(FLAG.endHeaders, 1, Buffer.from([0x80])),
  ]],
  ["headers whose priority is cut off", CODE.frameSizeError, [
    GREETING,
    headers(FLAG.endHeaders | FLAG.priority, 1, Buffer.alloc(4)),
  ]],
  ["more padding than there is frame", CODE.protocolError, [
    GREETING,
    request(1, NO_END),
    frame(FRAME.data, FLAG.padded, 1, Buffer.from([9, 1])),
  ]],
  ["more than the connection's window", CODE.flowControlError, [
    GREETING,
    ...[1, 3].flatMap((id) => [
      request(id, NO_END),
      ...Array.from({ length: 5 }, () => frame(FRAME.data, 0, id, Buffer.alloc(16_384))),
    ]),
  ]],
])("a connection ends for %s", async (_, code, said) => {
  const end = openSpoken();

  await end.say(...said);

  const goodbyes = end.of(FRAME.goaway).map(({ body }) => body.readUInt32BE(4));
  expect(goodbyes).toEqual([code]);
  expect([end.isClosed(), end.connection.isClosed]).toEqual([true, true]);
});

test.each<[string, number, Buffer[]]>([
  ["a request without a path", CODE.protocolError, [
    request(1, { fields: fieldsWith().filter(([name]) => name !== ":path") }),
  ]],
  ["a name in upper case", CODE.protocolError, [
    request(1, { fields: fieldsWith(["X-Name", "a"]) }),
  ]],
  ["an empty name", CODE.protocolError, [request(1, { fields: fieldsWith(["", "a"]) })]],
  ["a value of several lines", CODE.protocolError, [
    request(1, { fields: fieldsWith(["a", "b\r\nc: d"]) }),
  ]],
  ["a header of HTTP/1.1", CODE.protocolError, [
    request(1, { fields: fieldsWith(["connection", "close"]) }),
  ]],
  ["trailers of another kind", CODE.protocolError, [
    request(1, { fields: fieldsWith(["te", "gzip"]) }),
  ]],
  ["a pseudo-header that is none", CODE.protocolError, [
    request(1, { fields: [[":status", "200"], ...fieldsWith()] }),
  ]],
  ["a pseudo-header behind others", CODE.protocolError, [
    request(1, { fields: fieldsWith([":authority", "a"]) }),
  ]],
  ["two paths", CODE.protocolError, [request(1, { fields: [[":path", "/b"], ...fieldsWith()] })]],
  ["a list of headers that is too large", CODE.enhanceYourCalm, [
    request(1, {
      fields: fieldsWith(...Array.from({ length: 2_000 }, (): [string, string] => ["a", "b"])),
    }),
  ]],
  ["a body after its end", CODE.streamClosed, [request(1), frame(FRAME.data, 0, 1, block)]],
  ["a request that ends twice", CODE.streamClosed, [request(1), request(1)]],
  ["headers within a body", CODE.protocolError, [request(1, NO_END), request(1, NO_END)]],
  ["a stream's window that grows by nothing", CODE.protocolError, [
    request(1),
    numbered(FRAME.windowUpdate, 1, 0),
  ]],
  ["a stream's window that grows without end", CODE.flowControlError, [
    request(1),
    numbered(FRAME.windowUpdate, 1, MOST),
  ]],
  ["a priority of a wrong size", CODE.frameSizeError, [
    request(1),
    frame(FRAME.priority, 0, 1, Buffer.alloc(4)),
  ]],
])("a stream is reset for %s, and its connection goes on", async (_, code, said) => {
  const end = openSpoken();

  await end.say(GREETING, ...said, request(5), frame(FRAME.ping, 0, 0, Buffer.alloc(8)));

  const resets = end.of(FRAME.rstStream);
  expect(resets.map(({ streamId, body }) => [streamId, body.readUInt32BE(0)])).toEqual([[1, code]]);
  expect(end.streams.at(-1)?.id).toBe(5);
  expect(end.of(FRAME.ping)).toHaveLength(1);
  expect(end.connection.isClosed).toBeFalse();
});

test("streams above the limit are refused, as if they had not begun", async () => {
  const end = openSpoken({ streamsMax: 2 });

  await end.say(GREETING, request(1), request(3), request(5));
  end.streams[0]?.reset(CODE.cancel);
  await end.say(request(7));

  expect(end.streams.map(({ id }) => id)).toEqual([1, 3, 7]);
  expect(end.of(FRAME.rstStream).map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]))
    .toEqual([[5, CODE.refusedStream], [1, CODE.cancel]]);
});

test("frames that cross with the end of their stream are nobody's fault", async () => {
  const end = openSpoken();
  await end.say(GREETING, request(1, NO_END));
  end.streams[0]?.reset(CODE.cancel);

  await end.say(
    frame(FRAME.data, 0, 1, block),
    numbered(FRAME.windowUpdate, 1, 10),
    request(1),
    numbered(FRAME.rstStream, 1, 8),
    request(3),
  );

  expect(end.connection.isClosed).toBeFalse();
  expect(end.streams.map(({ id }) => id)).toEqual([1, 3]);
});

test("a header block is read though its stream is refused or over, as the next one depends on it", async () => {
  const end = openSpoken({ streamsMax: 1 });
  const keeping = (name: string, value: string) =>
    Buffer.concat([
      Buffer.from([0x40, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]);
  const whole = FLAG.endHeaders | FLAG.endStream;
  await end.say(
    GREETING,
    request(1, NO_END),
    headers(whole, 3, Buffer.concat([block, keeping("refused", "a")])),
  );
  end.streams[0]?.reset(CODE.cancel);
  const [newest, before] = [0x80 | 62, 0x80 | 63];

  await end.say(
    headers(whole, 1, keeping("late", "b")),
    headers(whole, 5, Buffer.concat([block, Buffer.from([newest, before])])),
  );

  const last = end.streams.at(-1);
  expect([last?.id, last?.headers.get("late"), last?.headers.get("refused")]).toEqual([
    5,
    "b",
    "a",
  ]);
});

test("what nobody knows, priorities and padding change nothing", async () => {
  const end = openSpoken();
  const padded = Buffer.concat([Buffer.from([2]), Buffer.alloc(5), block, Buffer.alloc(2)]);

  await end.say(
    GREETING,
    setting(99, 7),
    frame(77, 255, 3, block),
    frame(FRAME.priority, 0, 9, Buffer.alloc(5)),
    headers(FLAG.endHeaders | FLAG.padded | FLAG.priority, 1, padded),
    frame(FRAME.data, FLAG.padded, 1, Buffer.from([1, 7, 8, 0])),
    frame(FRAME.data, FLAG.endStream, 1, nothing),
  );

  const [stream] = end.streams;
  expect(stream?.headers.get(":path")).toBe("/a");
  expect([...Buffer.concat(stream?.heard ?? [])]).toEqual([7, 8]);
  expect(stream?.isEnded).toBeTrue();
});

test.each<[string, (round: number) => Buffer]>([
  [
    "resets streams as fast as it opens them",
    (round) => Buffer.concat([request(2 * round + 1), numbered(FRAME.rstStream, 2 * round + 1, 8)]),
  ],
  ["sends settings over and over", () => frame(FRAME.settings, 0, 0)],
  ["sends priorities over and over", () => frame(FRAME.priority, 0, 1, Buffer.alloc(5))],
  ["sends pings over and over", () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
  [
    "sends bodies of nothing",
    (round) => round === 0 ? request(1, NO_END) : frame(FRAME.data, 0, 1),
  ],
])("a client that %s is told to calm down", async (_, next) => {
  const end = openSpoken({ streamsMax: STREAMS_MAX });
  await end.say(GREETING);

  let rounds = 0;
  for (; rounds < 20_000 && !end.connection.isClosed; rounds++) {
    end.connection.received(next(rounds));
  }

  expect(end.of(FRAME.goaway).at(-1)?.body.readUInt32BE(4)).toBe(CODE.enhanceYourCalm);
  expect(rounds).toBeGreaterThan(STREAMS_MAX);
  expect(rounds).toBeLessThan(20_000);
});

test("a client that asks and reads nothing is let go before its answers fill the memory", async () => {
  const end = openSpoken();
  await end.say(GREETING);
  end.fill();
  await end.say(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
  let asked = 0;
  for (; asked < 8_000 && !end.connection.isClosed; asked++) end.connection.received(ping);

  expect(end.connection.isClosed).toBeTrue();
  expect(asked * ping.length).toBeLessThan(80 * 1024);
});

test("a client that does not acknowledge our settings is let go", async () => {
  const silent = openSpoken({ greetingMs: 50 });
  const polite = openSpoken({ greetingMs: 50 });

  await silent.say(GREETING);
  await polite.say(GREETING, frame(FRAME.settings, FLAG.ack, 0));
  await eventually(() => silent.connection.isClosed);

  expect(silent.of(FRAME.goaway).at(-1)?.body.readUInt32BE(4)).toBe(CODE.settingsTimeout);
  expect(polite.connection.isClosed).toBeFalse();
});
