/** Header blocks: the examples of RFC 7541, what other encoders write, and bytes that nobody should send. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import http2 from "node:http2";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { CODE, Http2Error } from "../../src/lib/http2/frames.ts";
import { createBlockDecoder, encodeBlock } from "../../src/lib/http2/hpack.ts";
import { decodeHuffman } from "../../src/lib/http2/huffman.ts";
import { seeded } from "../wire/refusals.ts";
import { type Fields, randomFields, read, startListening } from "./header_blocks.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

/** Takes 256 bytes for the table, as the responses of Appendix C do. */
const TABLE_OF_256 = "3fe101";

const FIRST: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const REQUESTS: Fields[] = [
  FIRST,
  [...FIRST, ["cache-control", "no-cache"]],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];
const later = (status: string): Fields => [
  [":status", status],
  ["cache-control", "private"],
  ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ["location", "https://www.example.com"],
];
const RESPONSES: Fields[] = [
  later("302"),
  later("307"),
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    ["location", "https://www.example.com"],
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

test.each([
  ["C.3, requests as they are", REQUESTS, [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ]],
  ["C.4, requests in HPACK's code", REQUESTS, [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ]],
  ["C.6, responses that fill a table of 256 bytes", RESPONSES, [
    `${TABLE_OF_256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
     2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`.replaceAll(/\s/g, ""),
    "4883 640e ffc1 c0bf",
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
     d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
     3d50 07`.replaceAll(/\s/g, ""),
  ]],
])("the examples of RFC 7541 are read: %s", (_, expected, blocks) => {
  const decode = createBlockDecoder();

  expect(blocks.map((block) => read(decode, hex(block)))).toEqual(expected);
});

test("what we write we read, in the fewest words", () => {
  const fields: Fields = [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-message", "x".repeat(300)],
    ["empty", ""],
  ];

  const block = encodeBlock(fields);

  expect(read(createBlockDecoder(), block)).toEqual(fields);
  // Indexed; a literal that is not kept, by the name of index 31.
  expect(block.subarray(0, 4)).toEqual(hex("88 0f 10 10"));
});

test("any bytes are a text in HPACK's code, or an error of compression", () => {
  const random = seeded(3);
  let texts = 0;
  for (let round = 0; round < 5_000; round++) {
    const bytes = Buffer.from(Array.from({ length: 1 + random(4) }, () => random(256)));
    try {
      const text = decodeHuffman(bytes, 0, bytes.length);
      expect(text.length).toBeLessThanOrEqual(Math.floor(bytes.length * 8 / 5));
      texts++;
    } catch (error) {
      expect((error as Http2Error).code).toBe(CODE.compressionError);
    }
  }
  expect(texts).toBeGreaterThan(10);
});

test("what node:http2 writes is read, over a connection with many header blocks", async () => {
  using server = await startListening();
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  const random = seeded(7);
  const sent: Fields[] = [];
  for (let round = 0; round < 300; round++) {
    const fields = randomFields(random);
    sent.push(fields);
    const stream = session.request({ ":method": "POST", ...Object.fromEntries(fields) });
    stream.end();
    stream.resume();
    await once(stream, "close");
  }
  session.destroy();

  const own = server.blocks.map((fields) => fields.filter(([name]) => name.startsWith("x-name")));
  expect(own.map((fields) => fields.toSorted())).toEqual(sent.map((fields) => fields.toSorted()));
});

test("what grpc-js writes is read", async () => {
  using server = await startListening();
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const random = seeded(9);
  const sent: Fields[] = [];
  for (let round = 0; round < 50; round++) {
    const fields = randomFields(random);
    sent.push(fields);
    const metadata = new Metadata();
    for (const [name, value] of fields) metadata.set(name, value);
    const same = (bytes: Buffer) => bytes;
    await new Promise<void>((resolve) =>
      client.makeUnaryRequest("/a.B/C", same, same, Buffer.alloc(0), metadata, () => resolve())
    );
  }
  client.close();

  const own = server.blocks.map((fields) => fields.filter(([name]) => name.startsWith("x-name")));
  expect(own.map((fields) => fields.toSorted())).toEqual(sent.map((fields) => fields.toSorted()));
  for (const fields of server.blocks) expect(fields).toContainEqual([":path", "/a.B/C"]);
});

test("bytes that nobody should send are an error of compression, and nothing worse", async () => {
  using server = await startListening();
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  const random = seeded(5);
  for (let round = 0; round < 40; round++) {
    const headers = { ":method": "POST", ...Object.fromEntries(randomFields(random)) };
    const stream = session.request(headers);
    stream.end();
    stream.resume();
    await once(stream, "close");
  }
  session.destroy();

  let refused = 0;
  for (let round = 0; round < 5_000; round++) {
    const decode = createBlockDecoder();
    try {
      for (const block of server.raw.slice(0, 1 + random(5))) {
        const changed = Buffer.from(block);
        for (let change = random(3); change >= 0; change--) {
          changed[random(changed.length)] = random(256);
        }
        read(decode, changed.subarray(0, random(4) === 0 ? random(changed.length) : undefined));
      }
    } catch (error) {
      expect(error).toBeInstanceOf(Http2Error);
      expect((error as Http2Error).code).toBe(CODE.compressionError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(1_000);
});

test.each([
  ["an index of nothing", "80"],
  ["an index beyond the table", "be"],
  ["a number without end", "ff ff ff ff ff ff ff ff ff ff"],
  ["a small number in many bytes", "0f 80 80 80 80 80 00 00"],
  ["a number that is cut off", "ff 80"],
  ["a name that is cut off", "40 05 61"],
  ["a value that is cut off", "40 01 61 05 62"],
  ["a table larger than we offer", "3f e2 1f"],
  ["a new size of the table after a header", "82 20"],
  ["the end of string within a text", "00 84 ff ff ff ff 01 61"],
  ["a text padded with zeros", "00 01 61 81 18"],
  ["a text padded with a whole byte", "00 01 61 82 1f ff"],
])("a header block is refused for %s", (_, block) => {
  expect(() => read(createBlockDecoder(), hex(block))).toThrow(Http2Error);
});

test("a table of no bytes keeps nothing, and what was larger than the table has emptied it", () => {
  const decode = createBlockDecoder();
  read(decode, hex("40 01 61 01 62"));
  const before = read(decode, hex("be"));
  const large = Buffer.concat([hex("40 01 63 7f 81 1f"), Buffer.alloc(127 + 0xf81, "d")]);
  read(decode, large);

  expect(before).toEqual([["a", "b"]]);
  expect(() => read(decode, hex("be"))).toThrow("no header has the index 62");

  const other = createBlockDecoder();
  read(other, hex("20 40 01 61 01 62"));
  expect(() => read(other, hex("be"))).toThrow("no header has the index 62");
});
