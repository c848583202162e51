/** Our PUBLISH and PUBACK beside those of mqtt-packet: random ones, in any pieces, and broken ones. */

import { expect, test } from "bun:test";
import { generate, type Packet, parser } from "mqtt-packet";
import { createPacketReader } from "../../src/lib/mqtt/packet_reader.ts";
import { toReceived } from "../../src/lib/mqtt/packets.ts";
import {
  encodePubacks,
  encodePublish,
  readLength,
  type Received,
} from "../../src/lib/mqtt/publish_packet.ts";
import type { MqttMessage } from "../../src/lib/wire/mqtt.ts";
import { seeded } from "../wire/refusals.ts";

const V5 = { protocolVersion: 5 };
const ROUNDS = 3_000;
/** Around these a length takes another byte, in a text or in a packet. */
const SIZES = [0, 1, 2, 40, 126, 127, 128, 129, 255, 256, 300, 16_383, 16_384, 65_534, 65_535];
const ALPHABETS = ["abcdefghij", "aé", "äöüß", "日本語", "a\u{1f600}", "\0", "\u{7f}\u{80}"];

const below = seeded(5);
const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
const text = (bytesMax: number): string => {
  const letters = [...pick(ALPHABETS)];
  let made = "";
  for (let count = below(bytesMax / 4 + 1); count > 0; count--) made += pick(letters);
  return made;
};
/** Mostly short, as in events, and now and then of a size where something changes. */
const anyText = () => below(20) === 0 ? "x".repeat(pick(SIZES)) : text(60);

function message(): MqttMessage {
  const userProperties: Record<string, string> = { "ce-id": anyText() };
  for (let count = below(14); count > 0; count--) userProperties[`ce-${text(40)}`] = anyText();
  return {
    ...(below(4) === 0 ? {} : { contentType: text(30) || "application/json" }),
    userProperties,
    payload: Buffer.alloc(below(3) === 0 ? pick(SIZES) : below(2_000), below(256)),
  };
}

/** A PUBLISH as the library makes it; it can say a property more than once, as others may. */
function libraryPublish(
  topic: string,
  qos: 0 | 1,
  messageId: number,
  given: Omit<MqttMessage, "userProperties"> & {
    userProperties: Record<string, string | string[]>;
  },
): Buffer {
  const { contentType, userProperties, payload } = given;
  return generate({
    ...{ cmd: "publish", topic, qos, messageId, dup: false, retain: false },
    payload: Buffer.from(payload),
    properties: { ...(contentType === undefined ? {} : { contentType }), userProperties },
  }, V5);
}

/** What a broker may send: what events are made of, and everything that is left to the library. */
function anyPacket(): Buffer {
  const messageId = 1 + below(65_535);
  const publish = { cmd: "publish", topic: "a/b", dup: false, retain: false } as const;
  switch (below(10)) {
    case 0:
      return generate({ cmd: "pingresp" }, V5);
    case 1:
      return generate({ cmd: "suback", messageId, granted: [1, 0x80] }, V5);
    case 2:
      return generate({ cmd: "connack", reasonCode: 0, sessionPresent: true }, V5);
    case 3:
      return generate({ cmd: "puback", messageId, reasonCode: pick([0, 0x10, 0x87]) }, V5);
    case 4:
      return encodePubacks([messageId, 1]);
    case 5:
      return generate({
        ...{ ...publish, qos: 1, messageId, payload: Buffer.from("{}") },
        properties: pick<object>([
          { payloadFormatIndicator: true, userProperties: { "ce-id": "1" } },
          { messageExpiryInterval: 3_600, contentType: "a/b" },
          { subscriptionIdentifier: 300 },
          { responseTopic: "a", correlationData: Buffer.from("x") },
        ]),
      }, V5);
    case 6:
      return generate({ ...publish, qos: 2, messageId, payload: "" }, V5);
    case 7: {
      const userProperties = { "ce-id": [text(40), text(40), "last"], "ce-type": [text(9)] };
      return libraryPublish("t", 1, messageId, { ...message(), userProperties });
    }
    default:
      return libraryPublish(text(60) || "t", pick([0, 1]), messageId, message());
  }
}

/** What a reader has told, in words that are the same for both. */
interface Told {
  packets: unknown[];
  failure?: string;
}

function sayPublish({ topic, messageId, message }: Received): unknown {
  return {
    ...{ topic, messageId, contentType: message.contentType },
    // Of several values the last one counts. The library forgets an empty one before it.
    properties: [...new Map(message.userProperties)],
    payload: Buffer.from(message.payload).toString("base64"),
  };
}

function readWithOurs(pieces: readonly Buffer[]): Told {
  const told: Told = { packets: [] };
  const read = createPacketReader({
    publish: (received) => void told.packets.push(sayPublish(received)),
    acknowledged: (messageId) => void told.packets.push({ messageId, reasonCode: 0 }),
    packet: (packet) => void told.packets.push(sayPacket(packet)),
    failed: (error) => told.failure = error.message,
  });
  for (const piece of pieces) read(piece);
  return told;
}

function readWithLibrary(bytes: Buffer): Told {
  const told: Told = { packets: [] };
  const reader = parser(V5);
  reader.on("packet", (packet) => void told.packets.push(sayPacket(packet)));
  reader.on("error", (error) => told.failure = error.message);
  // Packet by packet, since it would read a broken one on into the next.
  for (let at = 0; at < bytes.length && told.failure === undefined;) {
    const length = lengthOf(bytes.subarray(at));
    try {
      reader.parse(bytes.subarray(at, at + length));
    } catch (error) {
      told.failure = String(error);
    }
    at += length;
  }
  return told;
}

/** How many bytes a packet has that begins here; of a broken one as many as there are. */
function lengthOf(bytes: Buffer): number {
  try {
    const length = readLength(bytes, 1);
    return length === undefined ? bytes.length : length.end + length.value;
  } catch {
    return bytes.length;
  }
}

function sayPacket(packet: Packet): unknown {
  if (packet.cmd === "publish") return sayPublish(toReceived(packet));
  if (packet.cmd !== "puback") return { ...packet };
  return { messageId: packet.messageId, reasonCode: packet.reasonCode };
}

/** The same bytes in pieces, some of them of one byte, and some of none. */
function cut(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = pick([0, 1, 1, 2, 3, 10, 100, 1_000, 20_000]);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

test("a PUBLISH has the very bytes that mqtt-packet would send", () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [topic, qos, given] = [anyText() || "t", pick([0, 1] as const), message()];

    const { bytes, idAt } = encodePublish(topic, given, qos);

    if (qos === 1) bytes.writeUInt16BE(0xabcd, idAt);
    expect(bytes.compare(libraryPublish(topic, qos, 0xabcd, given))).toBe(0);
  }
});

test("lengths take another byte exactly where mqtt-packet's do", () => {
  const [topic, name] = ["t", "ce-id"];
  // Of the packet: topic, properties with their length, payload. Of the properties: a code, name and value.
  const headBytes = 3 + 1 + 5 + name.length;
  const propertyBytes = 5 + name.length;
  for (const length of [127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152, 3_000_000]) {
    const payload = Buffer.alloc(length - headBytes, "x");
    const value = "x".repeat(Math.min(length, 20_000) - propertyBytes);
    for (const given of [{ payload, value: "" }, { payload: payload.subarray(0, 1), value }]) {
      const userProperties = { [name]: given.value };
      const { bytes } = encodePublish(topic, { userProperties, payload: given.payload }, 0);

      const message = { userProperties, payload: given.payload };
      expect(bytes.compare(libraryPublish(topic, 0, 1, message))).toBe(0);
      expect(readWithOurs(cut(bytes))).toEqual(readWithLibrary(bytes));
    }
  }
});

test("a text that is longer than MQTT carries is refused, and not cut", () => {
  const long = "x".repeat(65_536);
  const given = { userProperties: {}, payload: Buffer.alloc(0) };
  const refused = { code: "invalid_argument", message: expect.stringContaining("65536 bytes") };

  for (
    const [topic, message] of [
      [long, given],
      ["t", { ...given, contentType: long }],
      ["t", { ...given, userProperties: { [long]: "" } }],
      ["t", { ...given, userProperties: { a: long } }],
    ] as const
  ) {
    expect(() => encodePublish(topic, message, 1)).toThrow(expect.objectContaining(refused));
  }
});

test("PUBACKs that leave together are read by mqtt-packet one by one, in order", () => {
  const ids = Array.from({ length: 300 }, () => 1 + below(65_535));

  const { packets } = readWithLibrary(encodePubacks(ids));

  expect(packets).toEqual(ids.map((messageId) => ({ messageId, reasonCode: 0 })));
});

test("packets are read as mqtt-packet reads them, in whatever pieces they come", () => {
  for (let round = 0; round < ROUNDS / 10; round++) {
    const bytes = Buffer.concat(Array.from({ length: 12 }, anyPacket));

    expect(readWithOurs(cut(bytes))).toEqual(readWithLibrary(bytes));
  }
});

test("of broken packets nothing is read that mqtt-packet would not read, and nothing behind them", () => {
  let refused = 0;
  for (let round = 0; round < ROUNDS * 3; round++) {
    const packets = Array.from({ length: 3 }, anyPacket);
    const broken = Buffer.concat(packets);
    // Lengths stand where a packet begins.
    for (let count = 1 + below(3); count > 0; count--) {
      broken[below(pick([4, 40, broken.length]))] = pick([
        0,
        1,
        0x26,
        0x7f,
        0x80,
        0xff,
        below(256),
      ]);
    }
    const end = below(3) === 0 ? below(broken.length) : broken.length;

    const ours = readWithOurs(cut(broken.subarray(0, end)));
    const library = readWithLibrary(broken.subarray(0, end));

    expect(ours.packets).toEqual(library.packets.slice(0, ours.packets.length));
    if (library.failure === undefined && ours.failure === undefined) {
      expect(ours.packets).toHaveLength(library.packets.length);
    }
    if (ours.failure !== undefined) refused++;
  }
  expect(refused).toBeGreaterThan(ROUNDS / 10);
});

test.each<[string, number[]]>([
  ["whose length has five bytes", [0x30, 0x80, 0x80, 0x80, 0x80, 0x01]],
  ["without a topic", [0x30, 0x00]],
  ["with a topic that is longer than itself", [0x30, 3, 0, 9, 0x61]],
  ["that ends before its identifier", [0x32, 4, 0, 1, 0x61, 0]],
  ["without the length of its properties", [0x32, 5, 0, 1, 0x61, 0, 1]],
  ["with properties that are longer than itself", [0x30, 5, 0, 1, 0x61, 7, 0x26]],
  ["with a property that is longer than all of them", [
    ...[0x30, 12, 0, 1, 0x61, 5, 0x26, 0, 1],
    ...[0x61, 0, 2, 0x62, 0x62],
  ]],
  ["with a property that there is not", [0x30, 6, 0, 1, 0x61, 1, 0x7e, 0]],
  ["with a property of others that is longer than itself", [
    ...[0x30, 9, 0, 1, 0x61, 5, 0x01, 0],
    ...[0x26, 0, 9],
  ]],
  ["with a quality of service that there is not", [0x36, 6, 0, 1, 0x61, 0, 1, 0]],
])("a PUBLISH %s ends the reading", (_, packet) => {
  const good = libraryPublish("t", 1, 7, { userProperties: { a: "b" }, payload: Buffer.alloc(3) });

  const { packets, failure } = readWithOurs([Buffer.concat([good, Buffer.from(packet), good])]);

  expect(packets).toHaveLength(1);
  expect(failure).toBeString();
});

test("a packet beyond what we told the broker to send is refused by its length, before it is kept", () => {
  // 64 MB and the head.
  const head = Buffer.from([0x30, 0x80, 0x80, 0x80, 0x20]);

  expect(readWithOurs([head])).toEqual({ packets: [], failure: "a packet has 67108869 bytes" });
});
