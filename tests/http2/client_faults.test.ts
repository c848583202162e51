/** Servers that break the rules of HTTP/2: what our client tells them, and what goes on. */

import { expect, test } from "bun:test";
import { CODE, FLAG, FRAME, frame, goaway } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import { answer, numbered, openSpokenClient, setting } from "./spoken.ts";

const SETTINGS = frame(FRAME.settings, 0, 0);
const ENABLE_PUSH = 2;
const GOOD = [[":status", "200"], ["content-type", "application/grpc"]] as const;
const TRAILERS = [["grpc-status", "0"]] as const;
const OWN_END = { isEnd: true };
const block = encodeBlock(GOOD);
const body = (streamId: number, size = 5, flags = 0) =>
  frame(FRAME.data, flags, streamId, Buffer.alloc(size));

test.each<[string, number, Buffer[], string]>([
  ["another protocol", CODE.protocolError, [
    Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"),
  ], "the peer does not speak HTTP/2"],
  ["an answer before the settings", CODE.protocolError, [answer(1, GOOD)], "settings come first"],
  ["a frame that is too large, by its head alone", CODE.frameSizeError, [
    SETTINGS,
    body(1, 16_385).subarray(0, 9),
  ], "a frame of 16385 bytes is too large"],
  [
    "a push that it may not allow",
    CODE.protocolError,
    [setting(ENABLE_PUSH, 1)],
    "ENABLE_PUSH cannot be 1 here",
  ],
  ["a promise", CODE.protocolError, [
    SETTINGS,
    frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), block])),
  ], "nobody may push"],
  [
    "a stream of its own",
    CODE.protocolError,
    [SETTINGS, answer(2, GOOD)],
    "the server opens stream 2",
  ],
  [
    "an answer to what was not asked",
    CODE.protocolError,
    [SETTINGS, answer(5, GOOD)],
    "stream 5 has not begun",
  ],
  [
    "a body of what was not asked",
    CODE.protocolError,
    [SETTINGS, body(5)],
    "stream 5 has not begun",
  ],
  ["a reset of what was not asked", CODE.protocolError, [
    SETTINGS,
    numbered(FRAME.rstStream, 5, 8),
  ], "stream 5 has not begun"],
  ["a window of what was not asked", CODE.protocolError, [
    SETTINGS,
    numbered(FRAME.windowUpdate, 5, 8),
  ], "stream 5 has not begun"],
  ["headers that never end, and are followed by something", CODE.protocolError, [
    SETTINGS,
    frame(FRAME.headers, 0, 1, block),
    frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8)),
  ], "the frames of a header block belong together"],
  ["headers without end", CODE.enhanceYourCalm, [
    SETTINGS,
    frame(FRAME.headers, 0, 1, block),
    ...Array.from({ length: 5 }, () => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384))),
  ], "a header block is too large"],
  ["headers that cannot be read", CODE.compressionError, [
    SETTINGS,
    frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0x80, 0x00])),
  ], "no header has the index 127"],
  ["a goodbye that is cut off", CODE.frameSizeError, [
    SETTINGS,
    frame(FRAME.goaway, 0, 0, Buffer.alloc(7)),
  ], "a frame of type 7 has a wrong length"],
  ["a window that grows without end", CODE.flowControlError, [
    SETTINGS,
    numbered(FRAME.windowUpdate, 0, 2 ** 31 - 1),
  ], "a window is too large"],
])("our client leaves a server for %s", async (_, code, said, words) => {
  const end = openSpokenClient();
  const asked = [end.ask(), end.ask()];
  await end.say();

  await end.say(...said);

  expect(end.of(FRAME.goaway).map(({ body }) => [body.readUInt32BE(0), body.readUInt32BE(4)]))
    .toEqual([[0, code]]);
  expect(end.told.filter((told) => told !== "ready")).toEqual([
    expect.stringContaining(words),
    "closed",
  ]);
  expect(asked.map(({ ends }) => ends.length)).toEqual([1, 1]);
  expect([end.isClosed(), end.connection.request(block)]).toEqual([true, undefined]);
});

const begun = answer(1, GOOD);

test.each<[string, number, Buffer[], string]>([
  ["a body before its headers", CODE.protocolError, [body(1)], "a body before its headers"],
  ["an answer without a status", CODE.protocolError, [
    answer(1, [["content-type", "application/grpc"]]),
  ], "an answer has no status"],
  ["a status that is none", CODE.protocolError, [answer(1, [[":status", "20"]])], "no status"],
  ["another protocol's turn", CODE.protocolError, [answer(1, [[":status", "101"]])], "no status"],
  [
    "two statuses",
    CODE.protocolError,
    [answer(1, [[":status", "200"], ...GOOD])],
    ":status has no place",
  ],
  ["a path", CODE.protocolError, [answer(1, [...GOOD, [":path", "/"]])], ":path has no place"],
  ["a name in upper case", CODE.protocolError, [answer(1, [...GOOD, ["X-Name", "a"]])], "a name"],
  [
    "a value of several lines",
    CODE.protocolError,
    [answer(1, [...GOOD, ["a", "b\nc: d"]])],
    "a has a value",
  ],
  ["a header of HTTP/1.1", CODE.protocolError, [
    answer(1, [...GOOD, ["transfer-encoding", "chunked"]]),
  ], "transfer-encoding does not belong"],
  ["headers that are too many", CODE.enhanceYourCalm, [
    answer(1, [...GOOD, ...Array.from({ length: 2_000 }, () => ["a", "b"] as const)]),
  ], "bytes are too many"],
  [
    "an end that only informs",
    CODE.protocolError,
    [answer(1, [[":status", "103"]], OWN_END)],
    "an answer ends too early",
  ],
  [
    "trailers without an end",
    CODE.protocolError,
    [begun, body(1), answer(1, TRAILERS)],
    "headers within a body",
  ],
  [
    "a status in trailers",
    CODE.protocolError,
    [begun, answer(1, [[":status", "200"]], OWN_END)],
    ":status has no place",
  ],
  ["more than its window", CODE.flowControlError, [
    begun,
    ...Array.from({ length: 7 }, () => body(1, 16_384)),
  ], "larger than its window"],
  [
    "a window that grows by nothing",
    CODE.protocolError,
    [numbered(FRAME.windowUpdate, 1, 0)],
    "grows by nothing",
  ],
  [
    "a window that grows without end",
    CODE.flowControlError,
    [numbered(FRAME.windowUpdate, 1, 2 ** 31 - 1)],
    "a window is too large",
  ],
  ["a priority of a wrong size", CODE.frameSizeError, [
    frame(FRAME.priority, 0, 1, Buffer.alloc(4)),
  ], "a frame of type 2 has a wrong length"],
])(
  "our client resets a stream for %s, and its connection goes on",
  async (_, code, said, words) => {
    const end = openSpokenClient();
    const [wrong, other] = [end.ask(), end.ask()];
    await end.say(SETTINGS);

    await end.say(...said, answer(3, GOOD), answer(3, TRAILERS, OWN_END));

    expect(end.of(FRAME.rstStream).map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]))
      .toEqual([[1, code]]);
    expect(wrong.ends.map(({ fault }) => fault?.message)).toEqual([expect.stringContaining(words)]);
    expect(other.trailers.map((trailers) => trailers?.get("grpc-status"))).toEqual(["0"]);
    expect([other.ends, end.told]).toEqual([[{}], ["ready"]]);
  },
);

test.each<[string, (round: number) => Buffer]>([
  ["sends settings over and over", () => SETTINGS],
  ["sends pings over and over", () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
  ["says goodbye over and over", () => goaway(2 ** 31 - 1, CODE.noError, "")],
  ["sends bodies of nothing", (round) => round === 0 ? begun : body(1, 0)],
  ["only informs", () => answer(1, [[":status", "103"]])],
  ["sends what nobody knows", () => frame(0x77, 0, 1, block)],
])("a server that %s is left", async (_, next) => {
  const end = openSpokenClient();
  const asked = end.ask();
  await end.say(SETTINGS);

  let rounds = 0;
  for (; rounds < 20_000 && !end.connection.isClosed; rounds++) {
    end.connection.received(next(rounds));
  }

  expect(end.of(FRAME.goaway).at(-1)?.body.readUInt32BE(4)).toBe(CODE.enhanceYourCalm);
  expect(rounds).toBeLessThan(20_000);
  expect(asked.ends).toHaveLength(1);
});

test("a server that asks and reads nothing is left before our answers fill the memory", async () => {
  const end = openSpokenClient();
  await end.say(SETTINGS);
  end.fill();
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
  await end.say(ping);

  let asked = 0;
  for (; asked < 8_000 && !end.connection.isClosed; asked++) end.connection.received(ping);

  expect(end.connection.isClosed).toBeTrue();
  expect(asked * ping.length).toBeLessThan(80 * 1024);
});

test("frames that cross with the end of their stream are nobody's fault", async () => {
  const end = openSpokenClient();
  const asked = end.ask();
  await end.say(SETTINGS);
  asked.stream.reset(CODE.cancel);

  await end.say(
    begun,
    body(1),
    numbered(FRAME.windowUpdate, 1, 10),
    answer(1, TRAILERS, OWN_END),
    numbered(FRAME.rstStream, 1, 8),
  );

  expect([end.told, asked.ends, asked.heads]).toEqual([["ready"], [{}], []]);
});
