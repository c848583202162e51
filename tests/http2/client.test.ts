/** What our client says to a server of HTTP/2, and when. */

import { expect, test } from "bun:test";
import { CODE, FLAG, FRAME, frame, goaway } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import { answer, numbered, openSpoken, openSpokenClient, request, setting } from "./spoken.ts";

const SETTINGS = frame(FRAME.settings, 0, 0);
const [HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE] = [
  1,
  3,
  4,
  6,
];
const INITIAL = 65_535;
const GOOD = [[":status", "200"], ["content-type", "application/grpc"]] as const;
const TRAILERS = [["grpc-status", "0"]] as const;
const OWN_END = { isEnd: true };
const SIZE_UPDATE_OF_0 = 0x20;
const wider = (streamId: number, by: number) => numbered(FRAME.windowUpdate, streamId, by);
const body = (streamId: number, size: number, flags = 0) =>
  frame(FRAME.data, flags, streamId, Buffer.alloc(size));

test("a client greets with its settings, which allow no push, and takes those of the server", async () => {
  const end = openSpokenClient();
  await end.say();
  const [settings] = end.of(FRAME.settings);
  const entries = [0, 6, 12].map((at) => [
    settings?.body.readUInt16BE(at),
    settings?.body.readUInt32BE(at + 2),
  ]);

  await end.say(setting(MAX_HEADER_LIST_SIZE, 8_192));

  expect(entries).toEqual([[4, 100_000], [6, 65_536], [2, 0]]);
  expect(end.frames.slice(1).map(({ type, flags }) => [type, flags])).toEqual([
    [FRAME.windowUpdate, 0],
    [FRAME.settings, FLAG.ack],
  ]);
  expect([end.told, end.connection.headerBytesMax()]).toEqual([["ready"], 8_192]);
});

test("a request and what it says leave in one write, and its answer ends it", async () => {
  const end = openSpokenClient();
  await end.say(SETTINGS);
  const writes = end.writes.length;
  const asked = end.ask({ isEnd: false });
  asked.stream.write(Buffer.from("a"), Buffer.from("b"));
  asked.stream.end();
  await end.say();
  const said = end.frames.slice(-2);

  await end.say(
    answer(1, [[":status", "103"], ["link", "</a>"]]),
    answer(1, GOOD),
    frame(FRAME.data, FLAG.padded, 1, Buffer.from("\x02hello\0\0", "latin1")),
    answer(1, TRAILERS, OWN_END),
  );

  expect(end.writes.length).toBe(writes + 1);
  expect(said.map(({ type, flags }) => [type, flags])).toEqual([
    [FRAME.headers, FLAG.endHeaders],
    [FRAME.data, FLAG.endStream],
  ]);
  expect(said[1]?.body.toString()).toBe("ab");
  expect(asked.heads.map((head) => head.get(":status"))).toEqual(["200"]);
  expect(Buffer.concat(asked.pieces).toString()).toBe("hello");
  expect(asked.trailers.map((trailers) => trailers?.get("grpc-status"))).toEqual(["0"]);
  expect([asked.ends, asked.stream.isClosed]).toEqual([[{}], true]);
  expect(end.of(FRAME.rstStream)).toEqual([]);
});

test("an answer that comes before the end of its request stops it", async () => {
  const end = openSpokenClient();
  const asked = end.ask({ isEnd: false });
  asked.stream.write(Buffer.alloc(200_000));
  await end.say(SETTINGS);
  const sent = end.of(FRAME.data).length;

  await end.say(answer(1, [...GOOD, ["grpc-status", "8"]], OWN_END), wider(0, 1_000_000));

  expect([asked.heads.length, asked.trailers.length, asked.stream.isClosed]).toEqual([1, 1, true]);
  expect(end.of(FRAME.rstStream).map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]))
    .toEqual([[1, CODE.cancel]]);
  expect(end.of(FRAME.data)).toHaveLength(sent);
});

test("a reset of the server's ends its stream alone, and tells its code", async () => {
  const end = openSpokenClient();
  const [first, second] = [end.ask(), end.ask()];
  await end.say(SETTINGS);

  await end.say(numbered(FRAME.rstStream, 1, CODE.refusedStream));

  expect([first.ends, second.ends]).toEqual([[{ resetCode: CODE.refusedStream }], []]);
  expect(end.of(FRAME.rstStream)).toEqual([]);
});

test("requests beyond what a server takes at once wait for their turn, in order", async () => {
  const end = openSpokenClient();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 2));
  const asked = Array.from({ length: 5 }, () => end.ask());
  await end.say();
  const opened = () => end.of(FRAME.headers).map(({ streamId }) => streamId);
  const atFirst = opened();
  // One that waits is given up: nothing is said of it.
  asked[2]?.stream.reset(CODE.cancel);
  await end.say(answer(1, GOOD), answer(1, TRAILERS, OWN_END));
  const afterOne = opened();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 1), numbered(FRAME.rstStream, 3, CODE.cancel));
  const withFewer = opened();
  await end.say(numbered(FRAME.rstStream, 5, CODE.cancel));

  expect([atFirst, afterOne, withFewer]).toEqual([[1, 3], [1, 3, 5], [1, 3, 5]]);
  expect(opened()).toEqual([1, 3, 5, 7]);
  expect(asked.map(({ stream }) => stream.id)).toEqual([1, 3, 0, 5, 7]);
  expect(end.of(FRAME.rstStream)).toEqual([]);
});

test("requests that wait have an end: of their number, and of their connection", async () => {
  const end = openSpokenClient();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 0));
  const waiting = Array.from({ length: 10_000 }, () => end.ask());

  expect(() => end.ask()).toThrow("no stream begins any more");
  end.connection.lost();

  expect(waiting.every(({ ends }) => ends.length === 1)).toBeTrue();
  expect(end.of(FRAME.headers)).toEqual([]);
});

test("a request that is given up before it has left is never said", async () => {
  const end = openSpokenClient();
  await end.say(SETTINGS);
  const asked = end.ask();
  asked.stream.reset(CODE.cancel);
  end.ask();
  await end.say();

  expect(end.of(FRAME.headers).map(({ streamId }) => streamId)).toEqual([3]);
  expect(end.of(FRAME.rstStream)).toEqual([]);
});

test("a new initial window of the server moves open streams, and those that wait", async () => {
  const end = openSpokenClient();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 1), wider(0, 1_000_000));
  const [first, second] = [end.ask({ isEnd: false }), end.ask({ isEnd: false })];
  for (const { stream } of [first, second]) stream.write(Buffer.alloc(200_000));
  const sent = (streamId: number) =>
    end.of(FRAME.data).filter((one) => one.streamId === streamId)
      .reduce((sum, { body }) => sum + body.length, 0);
  await end.say();
  const before = sent(1);

  await end.say(wider(1, 1_000), setting(INITIAL_WINDOW_SIZE, INITIAL + 5_000));
  const after = sent(1);
  await end.say(numbered(FRAME.rstStream, 1, CODE.cancel));

  expect([before, after, sent(3)]).toEqual([INITIAL, INITIAL + 6_000, INITIAL + 5_000]);
});

test.each(["server", "client"])(
  "the first block after the peer has made its table smaller says that it is empty: our %s",
  async (role) => {
    const blocks: (Buffer | undefined)[] = [];
    const plain = encodeBlock([[":status", "200"]]);
    if (role === "client") {
      const end = openSpokenClient();
      await end.say(setting(HEADER_TABLE_SIZE, 4_096));
      for (const size of [undefined, 0, undefined]) {
        if (size !== undefined) await end.say(setting(HEADER_TABLE_SIZE, size));
        end.ask();
        await end.say();
        blocks.push(end.of(FRAME.headers).at(-1)?.body);
      }
    } else {
      const end = openSpoken();
      await end.say(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SETTINGS);
      for (const [index, size] of [undefined, 0, undefined].entries()) {
        if (size !== undefined) await end.say(setting(HEADER_TABLE_SIZE, size));
        await end.say(request(2 * index + 1));
        end.streams.at(-1)?.start(plain);
        await end.say();
        blocks.push(end.of(FRAME.headers).at(-1)?.body);
      }
    }
    const [before, next, later] = blocks;

    expect(next?.[0]).toBe(SIZE_UPDATE_OF_0);
    expect(next?.subarray(1)).toEqual(before);
    expect(later).toEqual(before);
  },
);

test("a reader who takes nothing stops its server, and nobody else's", async () => {
  const end = openSpokenClient();
  const [slow, other] = [end.ask(), end.ask()];
  await end.say(SETTINGS, answer(1, GOOD), answer(3, GOOD));
  // The other takes what it hears.
  other.stream.read({ body: (piece) => other.stream.taken(piece.length), ended() {} });

  await end.say(...Array.from({ length: 10 }, () => body(1, 10_000)));
  await end.say(...Array.from({ length: 10 }, () => body(3, 10_000)));
  const updates = () =>
    end.of(FRAME.windowUpdate).slice(1).map(({ streamId, body }) => [
      streamId,
      body.readUInt32BE(0),
    ]);
  const held = updates();
  slow.stream.taken(50_000);
  await end.say();

  expect(held).toEqual([
    [0, 50_000],
    [0, 50_000],
    [0, 50_000],
    [3, 50_000],
    [0, 50_000],
    [3, 50_000],
  ]);
  expect(updates().slice(held.length)).toEqual([[1, 50_000]]);
  expect(end.told).toEqual(["ready"]);
});

test("a header block is read though its stream is over, as the next one depends on it", async () => {
  const end = openSpokenClient();
  const [gone, next] = [end.ask(), end.ask()];
  await end.say(SETTINGS);
  gone.stream.reset(CODE.cancel);
  const kept = Buffer.concat([
    encodeBlock([[":status", "200"]]),
    Buffer.from("\x40\x04late\x01b", "latin1"),
  ]);
  const newest = 0x80 | 62;

  await end.say(
    frame(FRAME.headers, FLAG.endHeaders, 1, kept),
    frame(
      FRAME.headers,
      FLAG.endHeaders,
      3,
      Buffer.concat([encodeBlock([[":status", "200"]]), Buffer.from([newest])]),
    ),
  );

  expect(next.heads.map((head) => head.get("late"))).toEqual(["b"]);
});

test("a server that sends its clients away gets no new stream, and ends those that it knows", async () => {
  const end = openSpokenClient();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 2));
  const [known, unknown, waiting] = [end.ask(), end.ask(), end.ask()];
  await end.say();

  await end.say(goaway(2 ** 31 - 1, CODE.noError, "max_age"));
  const atFirst = [known, unknown, waiting].map(({ ends }) => [...ends]);
  await end.say(goaway(1, CODE.noError, "max\x1bage"));
  await end.say(answer(1, GOOD), answer(1, TRAILERS, OWN_END));

  const refused = { resetCode: CODE.refusedStream };
  expect(atFirst).toEqual([[], [], [refused]]);
  expect([known.ends, unknown.ends]).toEqual([[{}], [refused]]);
  expect(known.trailers).toHaveLength(1);
  expect(end.told).toEqual(["ready", "sent away with 0, max_age", "sent away with 0, max?age"]);
  expect(() => end.ask()).toThrow("no stream begins any more");
  expect(end.of(FRAME.headers).map(({ streamId }) => streamId)).toEqual([1, 3]);
});

test("a client that closes begins nothing new, and waits for what is under way or waits itself", async () => {
  const end = openSpokenClient();
  await end.say(setting(MAX_CONCURRENT_STREAMS, 1));
  const [first, second] = [end.ask(), end.ask()];
  await end.say();

  end.connection.close();
  const isRefused = end.connection.request(Buffer.alloc(0)) === undefined;
  await end.say(answer(1, GOOD), answer(1, TRAILERS, OWN_END));
  const waits = !end.isClosed();
  await end.say(answer(3, GOOD), answer(3, TRAILERS, OWN_END));

  expect([isRefused, waits, end.isClosed()]).toEqual([true, true, true]);
  expect([first.trailers.length, second.trailers.length]).toEqual([1, 1]);
  expect(end.of(FRAME.goaway).map(({ body }) => [body.readUInt32BE(0), body.readUInt32BE(4)]))
    .toEqual([[0, CODE.noError]]);
});

test("pings are answered and asked in both directions", async () => {
  const end = openSpokenClient();
  await end.say(SETTINGS);
  let answers = 0;
  end.connection.ping(() => answers++);
  await end.say(frame(FRAME.ping, 0, 0, Buffer.from("12345678")));
  const [asked, replied] = end.of(FRAME.ping);

  await end.say(frame(FRAME.ping, FLAG.ack, 0, asked?.body));
  // Nobody asked this.
  await end.say(frame(FRAME.ping, FLAG.ack, 0, asked?.body));

  expect([asked?.flags, replied?.flags, replied?.body.toString()]).toEqual([
    0,
    FLAG.ack,
    "12345678",
  ]);
  expect([answers, end.told]).toEqual([1, ["ready", "pinged"]]);
});
