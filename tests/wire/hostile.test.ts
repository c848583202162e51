/** Input that nobody should send: a clear refusal or an event, never another failure, and never slowly. */

import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { CloudEventSchema } from "../../src/gen/cloudevent_pb.ts";
import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import { decodeHttpBinary } from "../../src/lib/wire/http.ts";
import { decodeMqtt, encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import {
  decodeEvent,
  decodePublishRequest,
  decodeSubscription,
  encodeEvent,
  encodePublishRequest,
  encodeSubscription,
} from "../../src/lib/wire/protobuf.ts";
import { decodeStructured, encodeStructured } from "../../src/lib/wire/structured.ts";
import { isRfc3339 } from "../../src/lib/wire/time.ts";
import { vector } from "../harness/golden.ts";
import { refusal, refusals, seeded } from "./refusals.ts";

const EVENT = vector("V1");
const STRUCTURED = encodeStructured(EVENT);
const MQTT = encodeMqtt(EVENT);
const NO_BYTES = new Uint8Array();
const HEAD = { id: EVENT.id, source: EVENT.source, specVersion: "1.0", type: EVENT.type };

/** The headers of the event as a client would send them. */
const HEADERS = Object.entries(MQTT.userProperties).map(([name, value]) =>
  [name, encodeURIComponent(String(value))] as const
);

/** A structured event with one member replaced, or left out. */
function structuredWith(name: string, value: unknown): string {
  return JSON.stringify({ ...JSON.parse(STRUCTURED), [name]: value });
}

/** What no attribute can be. */
const ODD: unknown[] = [
  null,
  1,
  1.5,
  -1e300,
  true,
  "",
  "\0",
  {},
  [],
  [1],
  { a: 1 },
  "x".repeat(1e6),
];

const CORE = ["specversion", "id", "source", "type"] as const;

for (const name of CORE) {
  test(`an event without ${name} is refused in every encoding, which says so`, () => {
    const properties = { ...MQTT.userProperties };
    delete properties[`ce-${name}`];
    const bare = JSON.parse(STRUCTURED);
    delete bare[name];
    const message = create(CloudEventSchema, {
      id: "i",
      source: "s",
      specVersion: "1.0",
      type: "t",
      [name === "specversion" ? "specVersion" : name]: "",
    });

    const messages = refusals([
      () => decodeStructured(JSON.stringify(bare)),
      () => decodeMqtt({ ...MQTT, userProperties: properties }),
      () => decodeHttpBinary(HEADERS.filter(([key]) => key !== `ce-${name}`), "{}"),
      () => decodePublishRequest(publishRequest(toBinary(CloudEventSchema, message))),
    ]);

    for (const text of messages) expect(text).toMatch(/specversion|spec version|attribute/);
    if (name === "specversion") return;
    for (const text of messages) expect(text).toContain(`attribute ${name} is missing`);
  });
}

/** The bytes of a request whose only field is this event. */
function publishRequest(event: Uint8Array): Uint8Array {
  const length: number[] = [];
  let rest = event.length;
  for (; rest > 127; rest >>>= 7) length.push(rest & 127 | 128);
  return Uint8Array.of(0x0a, ...length, rest, ...event);
}

test("a structured event with any member of any odd kind is an event or refused", () => {
  const names = [...Object.keys(JSON.parse(STRUCTURED)), "data_base64", "other", "__proto__"];
  const calls = names.flatMap((name) =>
    ODD.map((value) => () => {
      const event = decodeStructured(structuredWith(name, value));
      // What was accepted can be sent on over each transport, or its attribute is too long for one.
      encodeEvent(event);
      encodeMqtt(event);
      decodeStructured(encodeStructured(event));
    })
  );

  const messages = refusals(calls);

  expect(messages.filter((text) => text === undefined).length).toBeGreaterThan(20);
  expect(refusal(() => decodeStructured(structuredWith("id", 7)))).toContain("id must be a string");
  expect(refusal(() => decodeStructured(structuredWith("resourceversion", 2 ** 31))))
    .toContain("extension resourceversion must be a string, a 32-bit integer or a boolean");
});

test("JSON that is no event is refused", () => {
  const texts = [
    "",
    "null",
    "[]",
    "1",
    '"',
    "{",
    '{"specversion":"2.0"}',
    "NaN",
    "\ufeff{}",
    "{}{}",
  ];

  for (const message of refusals(texts.map((text) => () => decodeStructured(text)))) {
    expect(message).toMatch(/cloudevent/);
  }
});

test("an attribute that PostgreSQL cannot keep is refused in every encoding", () => {
  const nul = { ...EVENT, extensions: { ...EVENT.extensions, [EXT.resourceId]: "a\0b" } };
  const half = STRUCTURED.replace('"resourceid":"', '"resourceid":"\\ud800');

  const messages = refusals([
    () => decodeMqtt(encodeMqtt(nul)),
    () => decodePublishRequest(encodePublishRequest(nul)),
    () => decodeHttpBinary([...HEADERS, ["ce-resourceid", "a%00b"]], "{}"),
    () => decodeStructured(encodeStructured(nul)),
    () => decodeStructured(half),
  ]);

  for (const message of messages) expect(message).toMatch(/U\+0000|\\u0000|surrogate/);
});

test("extensions whose names are none are left out, and nobody's prototype changes", () => {
  const names = ["__proto__", "constructor.x", "UPPER", "with-dash", "ünicode", "", "data", "id"];
  const pairs = names.map((name): [string, string] => [`ce-${name}`, "x"]);
  const attributes = Object.fromEntries(
    pairs.map(([name]) => [name, { attr: { case: "ceString" as const, value: "x" } }]),
  );
  const others = pairs.filter(([name]) => name !== "ce-id");

  const events = [
    decodeMqtt({
      ...MQTT,
      userProperties: { ...Object.fromEntries(others), ...MQTT.userProperties },
    }),
    decodeHttpBinary([...others, ...HEADERS], "{}"),
    decodeEvent(toBinary(
      CloudEventSchema,
      create(CloudEventSchema, { ...HEAD, attributes }),
    )),
    decodeStructured(STRUCTURED.replace("{", '{"__proto__":"x","with-dash":"x","UPPER":"x",')),
  ];

  for (const event of events) {
    expect(event.id).not.toBe("x");
    expect(Object.values(event.extensions)).not.toContain("x");
    expect(Object.getPrototypeOf(event.extensions)).toBe(Object.prototype);
    expect(event.data).not.toBe("x");
  }
});

test("ten thousand extensions are read and written in every encoding", () => {
  const extensions: CloudEvent["extensions"] = { ...EVENT.extensions };
  for (let index = 0; index < 10_000; index++) extensions[`x${index}`] = `value ${index}`;
  const large = { ...EVENT, extensions };

  const events = [
    decodeStructured(encodeStructured(large)),
    decodeEvent(encodeEvent(large)),
    decodeMqtt(encodeMqtt(large)),
  ];

  for (const event of events) expect(event.extensions["x9999"]).toBe("value 9999");
  expect(Object.keys(events[0]?.extensions ?? {})).toHaveLength(Object.keys(extensions).length);
});

test("of a user property that comes more than once the last one counts", () => {
  const userProperties = { ...MQTT.userProperties, "ce-resourceid": ["first", "last"] };

  expect(decodeMqtt({ ...MQTT, userProperties }).extensions[EXT.resourceId]).toBe("last");
  const none = { ...MQTT.userProperties, "ce-resourceid": [] };
  expect(decodeMqtt({ ...MQTT, userProperties: none }).extensions[EXT.resourceId]).toBe("");
});

test("metadata that is too long for MQTT is cut to what receivers need, other attributes are refused", () => {
  const long = "x".repeat(70_000);
  const metadata = JSON.stringify({
    name: "n",
    uid: "u",
    labels: { a: "b" },
    annotations: { long },
  });
  const withMetadata = { ...EVENT, extensions: { ...EVENT.extensions, metadata } };
  const withOther = { ...EVENT, extensions: { ...EVENT.extensions, other: long } };

  const sent = decodeMqtt(encodeMqtt(withMetadata)).extensions[EXT.metadata];

  expect(JSON.parse(String(sent))).toEqual({ name: "n", uid: "u", labels: { a: "b" } });
  expect(refusal(() => encodeMqtt(withOther))).toContain("its attribute other has 70000 bytes");
});

test("every cut of a protobuf message, with any byte of it changed, is an event or refused", () => {
  const bytes = encodePublishRequest(vector("V7"));
  const random = seeded(7);
  const calls = [...bytes.keys()].flatMap((length) => {
    const cut = bytes.slice(0, length);
    const changed = bytes.slice();
    changed[length] = random(256);
    return [() => decodePublishRequest(cut), () => decodePublishRequest(changed)];
  });

  const messages = refusals(calls);

  expect(messages.filter((text) => text !== undefined).length).toBeGreaterThan(bytes.length / 2);
  for (const text of messages) if (text) expect(text).toMatch(/^failed to .* cloudevent: /);
});

test("random bytes are no event, and no other failure", () => {
  const random = seeded(42);
  for (let round = 0; round < 2_000; round++) {
    const bytes = Uint8Array.from({ length: random(200) }, () => random(256));
    const text = Buffer.from(bytes).toString("latin1");

    refusals([
      () => decodePublishRequest(bytes),
      () => decodeEvent(bytes),
      () => decodeMqtt({ ...MQTT, payload: bytes }),
      () => decodeMqtt({ ...MQTT, contentType: "application/cloudevents+json", payload: bytes }),
      () => decodeMqtt({ userProperties: { [text]: text }, payload: NO_BYTES }),
      () => decodeStructured(text),
      () => decodeHttpBinary([...HEADERS, ["ce-x", text]], text),
    ]);
  }
});

test("a time that is none is refused in every encoding", () => {
  const late = { ...EVENT, time: "yesterday" };

  const messages = refusals([
    () => decodeMqtt(encodeMqtt(late)),
    () => decodePublishRequest(encodePublishRequest(late)),
    () => decodeHttpBinary([...HEADERS, ["ce-time", "yesterday"]], "{}"),
    () => decodeStructured(encodeStructured(late)),
  ]);

  for (const message of messages) {
    expect(message).toContain("its attribute time is no RFC 3339 time");
  }
});

test("a subscription is read or refused, whatever its bytes are", () => {
  const named = { source: "", clusterName: "cluster1", dataType: "a.b.c" };
  const bytes = encodeSubscription(named);
  const random = seeded(3);

  for (const length of bytes.keys()) {
    const changed = bytes.slice();
    changed[length] = random(256);
    refusals([() => decodeSubscription(bytes.slice(0, length)), () => decodeSubscription(changed)]);
  }

  for (const key of ["source", "clusterName", "dataType"] as const) {
    expect(refusal(() => decodeSubscription(encodeSubscription({ ...named, [key]: "a\0" }))))
      .toBe("invalid subscription request: it contains U+0000");
  }
});

test("a timestamp that no calendar has is refused", () => {
  const withTime = (seconds: bigint, nanos: number) =>
    toBinary(
      CloudEventSchema,
      create(CloudEventSchema, {
        ...HEAD,
        attributes: {
          "ce-time": {
            attr: {
              case: "ceTimestamp",
              value: { $typeName: "google.protobuf.Timestamp", seconds, nanos },
            },
          },
        },
      }),
    );

  for (
    const [seconds, nanos] of [[0n, -1], [0n, 1e9], [2n ** 62n, 0], [-(2n ** 62n), 0]] as const
  ) {
    expect(refusal(() => decodeEvent(withTime(seconds, nanos)))).toContain(
      "timestamp is out of range",
    );
  }
  expect(decodeEvent(withTime(-1n, 5e8)).time).toBe("1969-12-31T23:59:59.5Z");
  expect(["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"].some(isRfc3339)).toBeFalse();
});
