/** Requests are read the same, whether their block came before or not. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import http2 from "node:http2";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { CODE, Http2Error } from "../../src/lib/http2/frames.ts";
import { createBlockDecoder } from "../../src/lib/http2/hpack.ts";
import { readRequest } from "../../src/lib/http2/fields.ts";
import { createRequestReader } from "../../src/lib/http2/request_reader.ts";
import { seeded } from "../wire/refusals.ts";
import { startListening } from "./header_blocks.ts";

const HEADER_BYTES_MAX = 64 * 1024;

type Outcome = { fields: [string, string][] } | { code: number; streamId: number };

/** What comes of reading: headers, or whose fault it was. */
function outcomeOf(read: () => ReadonlyMap<string, string>): Outcome {
  try {
    return { fields: [...read()] };
  } catch (error) {
    if (!(error instanceof Http2Error)) throw error;
    return { code: error.code, streamId: error.streamId };
  }
}

/** A reader, and beside it one that remembers nothing but the table. */
function openTwo() {
  const reader = createRequestReader(HEADER_BYTES_MAX);
  const decode = createBlockDecoder();
  let streamId = 1;
  return (block: Buffer) => {
    const options = { streamId, headerBytesMax: HEADER_BYTES_MAX };
    const expected = outcomeOf(() => readRequest(decode, block, options));
    const found = outcomeOf(() => reader.read(block, streamId));
    streamId += 2;
    return { expected, found };
  };
}

function expectSame(blocks: Buffer[]): void {
  const readTwice = openTwo();
  for (const block of blocks) {
    const { expected, found } = readTwice(block);
    expect(expected).toHaveProperty("fields");
    expect(found).toEqual(expected);
  }
}

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

/** POST, http and /, then what is given. */
const request = (...rest: string[]) => hex(`83 86 84 ${rest.join(" ")}`);
const KEPT_A1 = "40 01 61 01 31";
const KEPT_A2 = "40 01 61 01 32";
const NEWEST = "be";
const TABLE_OF_0 = "20";

test("a block that comes again is not read again, until another changes the table", () => {
  const reader = createRequestReader(HEADER_BYTES_MAX);
  reader.read(request(KEPT_A1), 1);

  const first = reader.read(request(NEWEST), 3);
  const second = reader.read(request(NEWEST), 5);
  reader.read(request(KEPT_A2), 7);
  const third = reader.read(request(NEWEST), 9);
  reader.skip(request(KEPT_A1));
  const fourth = reader.read(request(NEWEST), 11);

  expect(second).toBe(first);
  expect([first, third, fourth].map((headers) => headers.get("a"))).toEqual(["1", "2", "1"]);
});

test("a block that came before is refused when the table has lost what it refers to", () => {
  const reader = createRequestReader(HEADER_BYTES_MAX);
  reader.read(request(KEPT_A1), 1);
  reader.read(request(NEWEST), 3);
  reader.read(Buffer.concat([hex(TABLE_OF_0), request()]), 5);

  expect(() => reader.read(request(NEWEST), 7)).toThrow("no header has the index 62");
});

test("a request that is refused has changed the table all the same", () => {
  const reader = createRequestReader(HEADER_BYTES_MAX);
  reader.read(request(KEPT_A1), 1);
  reader.read(request(NEWEST), 3);

  // Without a path.
  expect(() => reader.read(hex(`83 86 ${KEPT_A2}`), 5)).toThrow(":path is missing");
  expect(reader.read(request(NEWEST), 7).get("a")).toBe("2");
});

test("only short blocks are remembered, and few of them", () => {
  const reader = createRequestReader(HEADER_BYTES_MAX);
  const long = request(`00 01 62 7f 81 07 ${"78".repeat(127 + 0x381)}`);
  const numbered = (n: number) => request(`00 01 62 01 ${(48 + n).toString(16)}`);

  expect(reader.read(long, 1)).not.toBe(reader.read(long, 3));
  expect(reader.read(long, 5).get("b")).toHaveLength(127 + 0x381);
  const first = reader.read(numbered(0), 7);
  for (let n = 1; n < 9; n++) reader.read(numbered(n), 7 + 2 * n);
  expect(reader.read(numbered(0), 27)).not.toBe(first);
});

/** What grpc-go 1.76 wrote first; after that each call of it is short. */
const GO_FIRST =
  "838645a060c75c941ed90bdcb5250bf70af7a83db260ee5a93b8b677310ac6bb63a0c89f418b089d5c0b8170dc69" +
  "a69a775f8b1d75d0620d263d4c4d65647a8a9acac8b4c7602bbae2e040027465864d833505b11f";
const GO_FIRST_WITH_DEADLINE =
  "838645a060c75c941ed90bdcb5250bf70af7a83db260ee5a93b8b677310ac6bb63a0c89f418b089d5c0b8170dc65" +
  "c6821f5f8b1d75d0620d263d4c4d65647a8a9acac8b4c7602bbae2e040027465864d833505b11f40899acac8b24d" +
  "494f6a7f8669f7dd038d5b";

test.each([
  ["calls", [GO_FIRST, "8386c2c1c0bfbe", "8386c2c1c0bfbe", "8386c2c1c0bfbe"]],
  // Most blocks change the table, by another rest of the time.
  ["calls with a deadline", [
    GO_FIRST_WITH_DEADLINE,
    "8386c3c2c1c0bf7e8669f7df7de66d",
    "8386c4c3c2c1c07e8669f7df7df66d",
    "8386c5c4c3c2c17e8669f7df7df6ed",
    "8386c6c5c4c3c27e8669f7df7df6ad",
    "8386c7c6c5c4c37e8669f7df7c2f5b",
    "8386c8c7c6c5c4bf",
    "8386c8c7c6c5c4c0",
    "8386c8c7c6c5c4bf",
  ]],
])("what grpc-go writes is read the same each time: %s", (_, blocks) => {
  expectSame(blocks.map(hex));
});

/** Headers that come again and again, and now and then another. */
function fieldsOfCall(random: (below: number) => number): Record<string, string> {
  const fields = { "x-token": `token-${Math.floor(random(40) / 39)}` };
  return random(3) === 0 ? { ...fields, "x-timeout": `${random(4)}` } : fields;
}

test("what node:http2 and grpc-js write is read the same each time", async () => {
  const random = seeded(11);
  using byNode = await startListening();
  const session = http2.connect(`http://127.0.0.1:${byNode.port}`);
  for (let round = 0; round < 200; round++) {
    const stream = session.request({ ":method": "POST", ":path": "/a", ...fieldsOfCall(random) });
    stream.end();
    stream.resume();
    await once(stream, "close");
  }
  session.destroy();
  using byGrpc = await startListening();
  const client = new Client(`127.0.0.1:${byGrpc.port}`, credentials.createInsecure());
  for (let round = 0; round < 100; round++) {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(fieldsOfCall(random))) metadata.set(name, value);
    const same = (bytes: Buffer) => bytes;
    await new Promise<void>((resolve) =>
      client.makeUnaryRequest("/a.B/C", same, same, Buffer.alloc(0), metadata, () => resolve())
    );
  }
  client.close();

  expect([byNode.raw.length, byGrpc.raw.length]).toEqual([200, 100]);
  expectSame(byNode.raw);
  expectSame(byGrpc.raw);
});

/** A few bytes that mean something, so that the same come again while the table is another. */
function randomBlock(random: (below: number) => number): Buffer {
  const digit = () => `3${random(3)}`;
  const parts = Array.from({ length: random(4) }, () => {
    switch (random(6)) {
      case 0:
        return `40 01 6${1 + random(2)} 01 ${digit()}`;
      case 1:
        return `7e 01 ${digit()}`;
      case 2:
        return `00 01 6${1 + random(2)} 01 ${digit()}`;
      default:
        return ["be", "bf", "c0"][random(3)] ?? "";
    }
  });
  const size = random(30) === 0 ? TABLE_OF_0 : random(30) === 0 ? "3f 45" : "";
  const isMalformed = random(10) === 0;
  return Buffer.concat([hex(size), isMalformed ? hex(parts.join(" ")) : request(...parts)]);
}

test("random blocks are read the same each time, whatever they do to the table", () => {
  const random = seeded(13);
  let goodCount = 0;
  let lostCount = 0;
  for (let round = 0; round < 3_000; round++) {
    const readTwice = openTwo();
    for (let count = 0; count < 40; count++) {
      const { expected, found } = readTwice(randomBlock(random));
      expect(found).toEqual(expected);
      if ("fields" in expected) goodCount++;
      if (!("code" in expected) || expected.code !== CODE.compressionError) continue;
      // Nothing can be read after that.
      lostCount++;
      break;
    }
  }
  expect(goodCount).toBeGreaterThan(3_000);
  expect(lostCount).toBeGreaterThan(300);
});
