/** The frames of HTTP/2, however a network cuts them. */

import { expect, test } from "bun:test";
import {
  createFrameReader,
  FLAG,
  FRAME,
  frame,
  headersFrames,
  PREFACE,
  withoutPadding,
} from "../../src/lib/http2/frames.ts";
import { seeded } from "../wire/refusals.ts";

const bytes = (size: number) => Buffer.from(Array.from({ length: size }, (_, at) => at % 251));

test("frames are the same however they are cut", () => {
  const random = seeded(21);
  const frames = Array.from({ length: 60 }, (_, index) => ({
    type: random(12),
    flags: random(256),
    streamId: random(2 ** 31),
    body: bytes([0, 1, 9, 100, 16_384][index % 5] ?? 0),
  }));
  const said = Buffer.concat([
    PREFACE,
    ...frames.map(({ type, flags, streamId, body }) => frame(type, flags, streamId, body)),
  ]);

  for (const most of [1, 8, 9, 10, 33, 1_000, 20_000, 1_000_000]) {
    const heard: unknown[] = [];
    const read = createFrameReader((type, flags, streamId, body) => {
      heard.push({ type, flags, streamId, body });
    }, { preface: PREFACE });
    for (let at = 0; at < said.length;) {
      const end = at + 1 + random(most);
      read(said.subarray(at, end));
      at = end;
    }
    expect(heard).toEqual(frames);
  }
});

test("a frame that lies whole in a piece is not copied", () => {
  const piece = Buffer.concat([
    frame(FRAME.data, 0, 1, bytes(10)),
    frame(FRAME.data, 0, 1, bytes(20)),
  ]);
  const places: number[] = [];
  const read = createFrameReader((_type, _flags, _streamId, body) => {
    expect(body.buffer).toBe(piece.buffer);
    places.push(body.byteOffset - piece.byteOffset);
  }, { preface: undefined });

  read(piece);

  expect(places).toEqual([9, 28]);
});

test("a frame larger than we take is refused by its head alone", () => {
  const read = createFrameReader(() => {}, { preface: undefined });
  read(frame(FRAME.settings, 0, 0));
  const head = frame(FRAME.data, 0, 1, bytes(16_385)).subarray(0, 9);

  expect(() => read(head)).toThrow("a frame of 16385 bytes is too large");
});

test("the highest bit of a stream's id is ignored", () => {
  let heard = 0;
  const read = createFrameReader((_type, _flags, streamId) => void (heard = streamId), {
    preface: undefined,
  });

  read(frame(FRAME.data, 0, 2 ** 31 + 5));

  expect(heard).toBe(5);
});

test("headers that are longer than a frame go on in the next ones", () => {
  const block = bytes(40_000);
  const heard: { type: number; flags: number; body: Buffer }[] = [];
  const read = createFrameReader((type, flags, _streamId, body) => {
    heard.push({ type, flags, body });
  }, { preface: undefined });

  read(headersFrames(7, block, FLAG.endStream));

  expect(heard.map(({ type, flags }) => [type, flags])).toEqual([
    [FRAME.headers, FLAG.endStream],
    [FRAME.continuation, 0],
    [FRAME.continuation, FLAG.endHeaders],
  ]);
  expect(Buffer.concat(heard.map(({ body }) => body))).toEqual(block);
});

test("padding is taken off, and may not be longer than its frame", () => {
  const padded = Buffer.from([3, 1, 2, 0, 0, 0]);

  expect([...withoutPadding(FLAG.padded, padded)]).toEqual([1, 2]);
  expect([...withoutPadding(FLAG.padded, padded, 1)]).toEqual([2]);
  expect([...withoutPadding(0, padded)]).toEqual([...padded]);
  expect(() => withoutPadding(FLAG.padded, Buffer.from([3, 0, 0]))).toThrow("more padding");
  expect(() => withoutPadding(FLAG.padded, Buffer.alloc(0))).toThrow("cut off");
});
