/** Flow control in both directions, and who has a turn when. */

import { expect, test } from "bun:test";
import { CODE, FLAG, FRAME, frame } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import { GREETING, numbered, openSpoken, request, setting, type Spoken } from "./spoken.ts";

const INITIAL = 65_535;
const INITIAL_WINDOW_SIZE = 4;
const HEADERS = encodeBlock([[":status", "200"]]);
const TRAILERS = encodeBlock([["grpc-status", "0"]]);
const NO_END = { isEnd: false };

const wider = (streamId: number, by: number) => numbered(FRAME.windowUpdate, streamId, by);

function received(end: Spoken, streamId: number): number {
  const own = end.of(FRAME.data).filter((one) => one.streamId === streamId);
  return own.reduce((sum, { body }) => sum + body.length, 0);
}

/** Opens streams that are answered with a body of so many bytes each. */
async function openStreams(ids: number[], bytes: number, ...before: Buffer[]): Promise<Spoken> {
  const end = openSpoken();
  await end.say(GREETING, ...before, ...ids.map((id) => request(id)));
  for (const stream of end.streams) {
    stream.start(HEADERS);
    stream.write(Buffer.alloc(bytes, stream.id));
  }
  await end.say();
  return end;
}

test("a stream sends what its window and that of its connection allow, and goes on when they grow", async () => {
  const end = await openStreams([1], 300_000);
  const first = received(end, 1);
  await end.say(wider(1, 10_000));
  const streamAlone = received(end, 1);
  await end.say(wider(0, 4_000));
  const both = received(end, 1);
  await end.say(wider(0, 1_000_000), wider(1, 1_000_000));

  expect([first, streamAlone, both]).toEqual([INITIAL, INITIAL, INITIAL + 4_000]);
  expect(received(end, 1)).toBe(300_000);
});

test("a new initial window moves all open streams, also below zero, and those that come", async () => {
  const end = await openStreams([1, 3], 40_000, wider(0, 1_000_000));
  await end.say(setting(INITIAL_WINDOW_SIZE, 10_000));
  for (const stream of end.streams) stream.write(Buffer.alloc(40_000));
  await end.say(request(5));
  end.streams[2]?.start(HEADERS);
  end.streams[2]?.write(Buffer.alloc(40_000));
  await end.say();
  const narrow = [1, 3, 5].map((id) => received(end, id));
  // 30,000 below zero: this brings the first to 500, and the second to zero.
  await end.say(wider(1, 30_500), wider(3, 30_000));
  const atZero = [1, 3].map((id) => received(end, id));
  await end.say(setting(INITIAL_WINDOW_SIZE, 10_100));

  expect(narrow).toEqual([40_000, 40_000, 10_000]);
  expect(atZero).toEqual([40_500, 40_000]);
  expect([1, 3, 5].map((id) => received(end, id))).toEqual([40_600, 40_100, 10_100]);
});

test("a stream whose window is closed holds nobody back", async () => {
  const end = await openStreams([1, 3], 100_000, wider(0, 1_000_000));
  await end.say(wider(3, 1_000_000));

  expect([received(end, 1), received(end, 3)]).toEqual([INITIAL, 100_000]);
});

test("streams of a connection have their turns, one frame each", async () => {
  const end = openSpoken();
  await end.say(GREETING, wider(0, 10_000_000), request(1), request(3), request(5));
  end.fill();
  for (const stream of end.streams) {
    stream.start(HEADERS);
    stream.write(Buffer.alloc(50_000));
  }
  await end.drain();

  const order = end.of(FRAME.data).map(({ streamId }) => streamId);
  expect(order).toEqual([1, 3, 5, 1, 3, 5, 1, 3, 5, 1, 3, 5]);
});

test("what waits while a socket is full stays with its stream, and leaves when there is room", async () => {
  const end = openSpoken();
  await end.say(GREETING, wider(0, 10_000_000), request(1), wider(1, 1_000_000));
  const stream = end.streams[0];
  let progress = 0;
  stream?.onProgress(() => progress++);
  end.fill();
  stream?.start(HEADERS);
  await end.say();
  stream?.write(Buffer.alloc(10));
  stream?.write(Buffer.alloc(40_000));
  await end.say();
  const waiting = stream?.waitingBytes;
  await end.drain();

  expect([waiting, stream?.waitingBytes]).toEqual([40_010, 0]);
  expect(progress).toBeGreaterThan(0);
  expect(received(end, 1)).toBe(40_010);
});

test("trailers leave after all of the body, however long it waits", async () => {
  const end = await openStreams([1], 100_000);
  end.streams[0]?.end(TRAILERS);
  await end.say();
  const before = end.of(FRAME.headers).length;
  await end.say(wider(0, 1_000_000), wider(1, 1_000_000));

  const [last, body] = [end.frames.at(-1), end.frames.at(-2)];
  expect(before).toBe(1);
  expect([last?.type, last?.flags, last?.body]).toEqual([
    FRAME.headers,
    FLAG.endHeaders | FLAG.endStream,
    TRAILERS,
  ]);
  expect([body?.type, body?.flags]).toEqual([FRAME.data, 0]);
  expect(end.streams[0]?.isClosed).toBeTrue();
});

test.each<[string, (end: Spoken) => void, number[]]>([
  ["headers alone", ({ streams }) => {
    streams[0]?.start(HEADERS);
    streams[0]?.end();
  }, [FRAME.headers]],
  ["a body without trailers", ({ streams }) => {
    streams[0]?.start(HEADERS);
    streams[0]?.write(Buffer.alloc(5));
    streams[0]?.end();
  }, [FRAME.headers, FRAME.data]],
])("the last frame of an answer says that it is the last: %s", async (_, answer, types) => {
  const end = openSpoken();
  await end.say(GREETING, request(1));
  const from = end.frames.length;

  answer(end);
  await end.say();

  const said = end.frames.slice(from);
  expect(said.map(({ type }) => type)).toEqual(types);
  expect(said.map(({ flags }) => (flags & FLAG.endStream) !== 0)).toEqual(
    types.map((_, index) => index === types.length - 1),
  );
  expect(end.streams[0]?.isClosed).toBeTrue();
});

test("an end that comes after the body has left is a frame of its own", async () => {
  const end = await openStreams([1], 10);

  end.streams[0]?.end();
  await end.say();

  expect(end.of(FRAME.data).map(({ body, flags }) => [body.length, flags])).toEqual([
    [10, 0],
    [0, FLAG.endStream],
  ]);
});

test("whoever is answered before the end of its request is told to stop", async () => {
  const end = openSpoken();
  await end.say(GREETING, request(1, NO_END));

  end.streams[0]?.start(HEADERS);
  end.streams[0]?.end(TRAILERS);
  await end.say();

  const reset = end.frames.at(-1);
  expect([reset?.type, reset?.streamId, reset?.body.readUInt32BE(0)]).toEqual([
    FRAME.rstStream,
    1,
    CODE.noError,
  ]);
});

test("all that is said in a turn leaves in one write", async () => {
  const end = openSpoken();
  await end.say(GREETING, ...Array.from({ length: 50 }, (_, at) => request(2 * at + 1)));
  const before = end.writes.length;

  for (const stream of end.streams) {
    await Promise.resolve();
    stream.start(HEADERS);
    stream.write(Buffer.from([0, 0, 0, 0, 0]));
    stream.end(TRAILERS);
  }
  await end.say();

  expect(end.writes.length - before).toBe(1);
  expect(end.streams.every(({ isClosed }) => isClosed)).toBeTrue();
});

test("a body that nobody takes stops its peer, and goes on when it is taken", async () => {
  const end = openSpoken();
  const piece = (streamId: number) => frame(FRAME.data, 0, streamId, Buffer.alloc(10_000));
  const updates = () => end.of(FRAME.windowUpdate).slice(1);
  await end.say(GREETING, request(1, NO_END));
  await end.say(...Array.from({ length: 10 }, () => piece(1)));
  const untaken = updates().length;
  end.streams[0]?.taken(60_000);
  await end.say();
  const taken = updates().map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]);
  await end.say(...Array.from({ length: 6 }, () => piece(1)));

  expect(untaken).toBe(0);
  expect(taken).toEqual([[0, 60_000], [1, 60_000]]);
  expect(end.connection.isClosed).toBeFalse();
  // Beyond what was allowed.
  await end.say(piece(1));
  expect(end.of(FRAME.goaway).at(-1)?.body.readUInt32BE(4)).toBe(CODE.flowControlError);
});

test("a stream that sends more than its own window is reset, and its connection goes on", async () => {
  const end = openSpoken();
  const pieces = (streamId: number, count: number) =>
    Array.from({ length: count }, () => frame(FRAME.data, 0, streamId, Buffer.alloc(10_000)));
  await end.say(GREETING, request(1, NO_END), request(3, NO_END), ...pieces(1, 8), ...pieces(3, 2));
  // Too little for a word about either of them, but enough for one about the connection.
  end.streams[0]?.taken(40_000);
  end.streams[1]?.taken(20_000);
  await end.say(...pieces(1, 2));
  const allowed = end.of(FRAME.rstStream).length;
  const updates = end.of(FRAME.windowUpdate).slice(1);
  await end.say(...pieces(1, 1));

  expect(updates.map(({ streamId }) => streamId)).toEqual([0]);
  expect(allowed).toBe(0);
  expect(end.of(FRAME.rstStream).map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]))
    .toEqual([[1, CODE.flowControlError]]);
  expect(end.connection.isClosed).toBeFalse();
});

test("the bytes of a stream that ends make room for others of its connection", async () => {
  const end = openSpoken();
  await end.say(
    GREETING,
    request(1, NO_END),
    ...Array.from({ length: 8 }, () => frame(FRAME.data, 0, 1, Buffer.alloc(10_000))),
  );
  end.streams[0]?.reset(CODE.cancel);
  // What was on its way as well.
  await end.say(...Array.from({ length: 8 }, () => frame(FRAME.data, 0, 1, Buffer.alloc(10_000))));

  const updates = end.of(FRAME.windowUpdate).slice(1);
  expect(updates.map(({ streamId, body }) => [streamId, body.readUInt32BE(0)])).toEqual([
    [0, 80_000],
    [0, 50_000],
  ]);
});

test("bytes that come after the end of their stream make room for others too", async () => {
  const end = openSpoken();
  const ids = Array.from({ length: 20 }, (_, index) => 2 * index + 1);

  await end.say(
    GREETING,
    ...ids.flatMap((id) => [request(id), frame(FRAME.data, 0, id, Buffer.alloc(16_384))]),
  );

  expect(end.of(FRAME.rstStream).map(({ streamId, body }) => [streamId, body.readUInt32BE(0)]))
    .toEqual(ids.map((id) => [id, CODE.streamClosed]));
  expect(end.connection.isClosed).toBeFalse();
});

test("a ping is over when it is answered, or when nobody is there any more", async () => {
  const end = openSpoken();
  await end.say(GREETING);
  const over: string[] = [];
  for (const name of ["a", "b"]) end.connection.ping(() => over.push(name));
  await end.say();
  const [, second] = end.of(FRAME.ping);

  await end.say(frame(FRAME.ping, FLAG.ack, 0, second?.body));
  const answered = [...over];
  end.connection.lost();
  end.connection.ping(() => over.push("c"));

  expect(answered).toEqual(["b"]);
  expect(over).toEqual(["b", "a", "c"]);
});

test("a connection that is destroyed says first what was due, and one that closes waits for its streams", async () => {
  const [cut, closing] = [openSpoken(), openSpoken()];
  for (const end of [cut, closing]) await end.say(GREETING, request(1));
  for (const end of [cut, closing]) {
    end.streams[0]?.start(HEADERS);
    end.streams[0]?.write(Buffer.from("said"));
  }

  cut.connection.destroy(CODE.enhanceYourCalm, "words");
  closing.connection.close();
  await closing.say(request(3));
  const waits = !closing.isClosed();
  closing.streams[0]?.end(TRAILERS);
  await closing.say();

  expect(cut.frames.slice(-3).map(({ type }) => type)).toEqual([
    FRAME.headers,
    FRAME.data,
    FRAME.goaway,
  ]);
  expect(cut.frames.at(-1)?.body.toString("latin1", 8)).toBe("words");
  expect(cut.isClosed()).toBeTrue();
  expect([waits, closing.isClosed()]).toEqual([true, true]);
  expect(closing.streams.map(({ id }) => id)).toEqual([1]);
  expect(closing.of(FRAME.goaway).map(({ body }) => body.readUInt32BE(0))).toEqual([1]);
});
