/** Messages in pieces, as connections cut them. */

import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { createDeframer } from "../../src/lib/grpc/deframe.ts";

const MAX = 100_000;

function frame(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

test("messages come out whole, in order, however they are cut", () => {
  for (let round = 0; round < 300; round++) {
    const messages = Array.from({ length: Math.floor(Math.random() * 6) }, () => {
      const size = Math.floor(Math.random() ** 3 * 50_000);
      return crypto.getRandomValues(Buffer.alloc(size));
    });
    const isPacked = messages.map(() => Math.random() < 0.3);
    const bytes = Buffer.concat(
      messages.map((message, at) => isPacked[at] ? frame(gzipSync(message), 1) : frame(message)),
    );
    const deframer = createDeframer(MAX);
    const found: Buffer[] = [];

    for (let at = 0; at < bytes.length;) {
      const size = Math.random() < 0.5 ? 1 + Math.floor(Math.random() * 8) : 16_384;
      deframer.push(bytes.subarray(at, at += size));
      for (let next = deframer.next("gzip"); next; next = deframer.next("gzip")) {
        found.push(Buffer.from(next));
      }
    }

    expect(found.map((message) => message.toString("base64")))
      .toEqual(messages.map((message) => message.toString("base64")));
  }
});

test("a message that is too large is refused by its length alone", () => {
  const deframer = createDeframer(10);
  deframer.push(frame(Buffer.alloc(11)).subarray(0, 5));

  expect(() => deframer.next(undefined)).toThrow("Received message larger than max (11 vs 10)");
});

test("a message that is too large only once it is unpacked is refused", () => {
  const deframer = createDeframer(1_000);
  deframer.push(frame(gzipSync(Buffer.alloc(1_001)), 1));

  expect(() => deframer.next("gzip")).toThrow("not gzip of at most 1000 bytes");
});

test.each([["deflate"], [undefined]])("what is packed as %p is refused", (encoding) => {
  const deframer = createDeframer(MAX);
  deframer.push(frame(Buffer.from("packed"), 1));

  expect(() => deframer.next(encoding)).toThrow("Received message compressed with");
});
