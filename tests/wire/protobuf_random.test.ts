/** Our reading and writing of events against protobuf-es: messages by chance, whole, cut off and with wrong bytes. */

import { expect, test } from "bun:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type CloudEvent as CloudEventMessage,
  type CloudEventAttributeValue,
  CloudEventSchema,
  PublishRequestSchema,
} from "../../src/gen/cloudevent_pb.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { canonicalJson } from "../../src/lib/json.ts";
import { type CloudEvent, isExtensionName } from "../../src/lib/wire/event.ts";
import {
  decodeEvent,
  decodePublishRequest,
  encodeEvent,
  encodePublishRequest,
} from "../../src/lib/wire/protobuf.ts";
import { decodeStructured } from "../../src/lib/wire/structured.ts";
import { joinTime } from "../../src/lib/wire/time.ts";
import { seeded } from "./refusals.ts";

type Random = ReturnType<typeof seeded>;
type Attribute = CloudEventAttributeValue["attr"];

const TEXTS = ["", "a", "1.0", "maestro", "grüße", "日本 👍", "\ufffd", "\ufeffx", "a\0b"];
const NAMES = [
  ...["time", "subject", "dataschema", "resourceid", "resourceversion", "deletiontimestamp"],
  ...["x1", "UPPER", "with-dash", "__proto__", "id", ""],
];
const NUMBERS = [0, 1, -1, 127, 128, 300, 2 ** 31 - 1, -(2 ** 31)];
const SECONDS = [0n, 1n, -1n, 1_700_000_000n, -62_135_596_800n, 253_402_300_800n, 2n ** 63n - 1n];

function one<Value>(random: Random, values: readonly Value[]): Value {
  return values[random(values.length)] as Value;
}

function text(random: Random): string {
  const long = one(random, ["x", "é", "本"]).repeat(random(random(40) === 0 ? 40_000 : 300));
  return random(4) === 0 ? long : one(random, TEXTS);
}

function timestamp(random: Random) {
  const nanos = random(3) === 0 ? one(random, NUMBERS) : random(1_000_000_000);
  return { seconds: one(random, SECONDS), nanos };
}

function attribute(random: Random): MessageInitShape<typeof CloudEventSchema>["attributes"] {
  const kinds: (() => Attribute | { case: "ceTimestamp"; value: ReturnType<typeof timestamp> })[] =
    [
      () => ({ case: undefined }),
      () => ({ case: "ceBoolean", value: random(2) === 0 }),
      () => ({ case: "ceInteger", value: one(random, NUMBERS) }),
      () => ({ case: "ceString", value: text(random) }),
      () => ({
        case: "ceBytes",
        value: Uint8Array.from({ length: random(200) }, () => random(256)),
      }),
      () => ({ case: "ceUri", value: text(random) }),
      () => ({ case: "ceUriRef", value: text(random) }),
      () => ({ case: "ceTimestamp", value: timestamp(random) }),
    ];
  const attr = one(random, kinds)();
  const key = random(8) === 0 ? "contenttype" : `ce-${one(random, NAMES)}`;
  return { [key]: { attr } } as MessageInitShape<typeof CloudEventSchema>["attributes"];
}

function message(random: Random): CloudEventMessage {
  const datas = [
    { case: undefined },
    { case: "binaryData", value: Buffer.from(`{"a":${JSON.stringify(text(random))}}`) },
    { case: "binaryData", value: Buffer.from(`\ufeff{"n":${random(1e9)}}`) },
    { case: "textData", value: text(random) },
    { case: "protoData", value: { typeUrl: text(random), value: Buffer.from("x") } },
  ] as const;
  const attributes = Array.from({ length: random(8) }, () => attribute(random));
  return create(CloudEventSchema, {
    id: text(random),
    source: text(random),
    specVersion: random(6) === 0 ? text(random) : "1.0",
    type: text(random),
    attributes: Object.assign({}, ...attributes),
    data: one(random, datas),
  });
}

/** Fields that nobody knows, of every wire type. */
const UNKNOWN = [
  [0x78, 0xff, 0xff, 0x03],
  [0x79, 1, 2, 3, 4, 5, 6, 7, 8],
  [0x7a, 3, 1, 2, 3],
  [0x7b, 0x08, 1, 0x13, 0x14, 0x7c],
  [0x7d, 1, 2, 3, 4],
];

/** What protobuf-es reads, as an event. Throws if it is none. */
function read(message: CloudEventMessage): CloudEvent {
  const data = message.data.case === "binaryData"
    ? new TextDecoder("utf-8", { fatal: true }).decode(message.data.value)
    : undefined;
  const contentType = message.attributes["contenttype"]?.attr;
  // Whichever of the three kinds of text it is.
  const typeText = typeof contentType?.value === "string" ? contentType.value : undefined;
  if (typeText?.toLowerCase().startsWith("application/cloudevents")) {
    return decodeStructured(data ?? "");
  }
  if (!["1.0", "0.3"].includes(message.specVersion)) throw new Error("spec version");
  const event: CloudEvent = {
    ...{ id: message.id, source: message.source, type: message.type, extensions: {} },
    ...(typeText === undefined ? {} : { datacontenttype: typeText }),
    ...(data === undefined ? {} : { data }),
  };
  for (const [key, { attr }] of Object.entries(message.attributes)) {
    if (!key.startsWith("ce-") || attr.case === undefined) continue;
    const name = key.slice(3);
    const value = attr.case === "ceTimestamp"
      ? joinTime({ seconds: Number(attr.value.seconds), nanos: attr.value.nanos })
      : attr.value;
    if (value === undefined) throw new Error("no such time");
    if (name === "time" || name === "subject" || name === "dataschema") {
      if (typeof value === "string") event[name] = value;
    } else if (isExtensionName(name)) event.extensions[name] = value;
  }
  return event;
}

/** What is read, or that it is refused; anything else than a refusal fails the test. */
function ours(bytes: Uint8Array): CloudEvent | "refused" {
  try {
    return decodeEvent(bytes);
  } catch (error) {
    if (error instanceof MaestroError && error.code === "invalid_argument") return "refused";
    throw error;
  }
}

function theirs(bytes: Uint8Array): CloudEvent | "refused" {
  try {
    return read(fromBinary(CloudEventSchema, bytes));
  } catch {
    return "refused";
  }
}

/** Two events that are the same have the same text, whatever the order of their attributes. */
function shown(event: CloudEvent | "refused"): string {
  if (event === "refused") return event;
  const extensions = Object.entries(event.extensions).map(([name, value]) =>
    [name, value instanceof Uint8Array ? ["bytes", ...value] : value] as const
  );
  return canonicalJson({ ...event, extensions: Object.fromEntries(extensions) });
}

test("what protobuf-es writes is read as protobuf-es reads it", () => {
  const random = seeded(1);
  let readable = 0;
  for (let round = 0; round < 1_500; round++) {
    const bytes = toBinary(CloudEventSchema, message(random));
    const event = ours(bytes);

    expect(shown(event)).toBe(shown(theirs(bytes)));
    if (event !== "refused") readable++;
  }
  expect(readable).toBeGreaterThan(700);
});

test("messages in parts, with fields that nobody knows, are read as protobuf-es reads them", () => {
  const random = seeded(2);
  for (let round = 0; round < 1_000; round++) {
    const parts = Array.from({ length: 1 + random(3) }, () => [
      ...toBinary(CloudEventSchema, message(random)),
      ...one(random, UNKNOWN),
    ]);
    const bytes = Uint8Array.from(parts.flat());

    expect(shown(ours(bytes))).toBe(shown(theirs(bytes)));
  }
});

test("cut-off and changed bytes are refused by both, or read as the same", () => {
  const random = seeded(3);
  const counts = { read: 0, refused: 0 };
  for (let round = 0; round < 5_000; round++) {
    const bytes = toBinary(CloudEventSchema, message(random));
    for (let change = random(3); change > 0 && bytes.length > 0; change--) {
      bytes[random(bytes.length)] = random(256);
    }
    const cut = random(2) === 0 ? bytes : bytes.subarray(0, random(bytes.length + 1));
    const event = ours(cut);

    expect(shown(event)).toBe(shown(theirs(cut)));
    counts[event === "refused" ? "refused" : "read"]++;
  }
  expect(counts.read).toBeGreaterThan(500);
  expect(counts.refused).toBeGreaterThan(1_000);
});

test("values of fewer fields than there are kinds of bytes are read alike, whatever they are", () => {
  const random = seeded(4);
  for (let round = 0; round < 5_000; round++) {
    const inner = Array.from({ length: random(14) }, () => one(random, [random(256), random(70)]));
    const entry = [0x0a, 4, 0x63, 0x65, 0x2d, 0x78, 0x12, inner.length, ...inner];
    const bytes = Uint8Array.from([0x1a, 3, 0x31, 0x2e, 0x30, 0x2a, entry.length, ...entry]);

    expect(shown(ours(bytes))).toBe(shown(theirs(bytes)));
  }
});

test("a value in parts is put together: of a time that comes twice each part counts", () => {
  const seconds = [0x3a, 2, 0x08, 60];
  const nanos = [0x3a, 2, 0x10, 5];
  for (const value of [[...seconds, ...nanos], [...seconds, 0x10, 1, ...nanos]]) {
    const entry = [0x0a, 4, 0x63, 0x65, 0x2d, 0x78, 0x12, value.length, ...value];
    const bytes = Uint8Array.from([0x1a, 3, 0x31, 0x2e, 0x30, 0x2a, entry.length, ...entry]);

    expect(shown(ours(bytes))).toContain('"x":"1970-01-01T00:0');
    expect(shown(ours(bytes))).toBe(shown(theirs(bytes)));
  }
});

test("a request of several events, or of one in parts, is read as protobuf-es reads it", () => {
  const random = seeded(5);
  for (let round = 0; round < 1_000; round++) {
    const bytes = Buffer.concat(
      Array.from(
        { length: random(4) },
        () =>
          toBinary(PublishRequestSchema, create(PublishRequestSchema, { event: message(random) })),
      ),
    );
    const { event } = fromBinary(PublishRequestSchema, bytes);
    const whole = event === undefined ? "refused" : ours(toBinary(CloudEventSchema, event));

    let got: CloudEvent | "refused" = "refused";
    try {
      got = decodePublishRequest(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(MaestroError);
      // What is an event may still miss an attribute, or have U+0000.
      if (/attribute/.test(String(error))) continue;
    }
    expect(shown(got)).toBe(shown(whole));
  }
});

test("what we write protobuf-es reads as the event", () => {
  const random = seeded(6);
  for (let round = 0; round < 1_000; round++) {
    const event = ours(toBinary(CloudEventSchema, message(random)));
    if (event === "refused") continue;
    const bytes = encodeEvent(event);
    const request = fromBinary(PublishRequestSchema, encodePublishRequest(event)).event;

    // A text of digits in resourceversion is no number here: that is of works only.
    expect(shown(read(fromBinary(CloudEventSchema, bytes)))).toBe(shown(event));
    expect(request && shown(read(request))).toBe(shown(event));
  }
});
