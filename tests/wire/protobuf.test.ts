/** The protobuf flavour of events: bytes of the specification, round trips, hostile input. */

import { expect, test } from "bun:test";
import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import {
  decodeEvent,
  decodePublishRequest,
  encodeEvent,
  encodePublishRequest,
  encodeSubscription,
} from "../../src/lib/wire/protobuf.ts";
import { encodeStatusResync } from "../../src/lib/wire/resync.ts";
import { decodeStructured, encodeStructured } from "../../src/lib/wire/structured.ts";

const EVENT: CloudEvent = {
  id: "11111111-2222-4333-8444-555555555555",
  source: "maestro",
  type: "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
  time: "2026-01-02T03:04:05.678901234Z",
  datacontenttype: "application/json",
  extensions: {
    [EXT.clusterName]: "cluster1",
    [EXT.originalSource]: "",
    [EXT.resourceVersion]: 0,
    [EXT.deletionTimestamp]: "2026-01-02T03:04:05Z",
  },
  data: '{"n":9007199254740993,"d":1.0}',
};

/** The part of `bytes` that a hex dump of the specification shows. */
function holds(bytes: Uint8Array, hex: string): boolean {
  return Buffer.from(bytes).toString("hex").includes(hex.replaceAll(" ", ""));
}

test("an event comes back as it was, digit by digit", () => {
  expect(decodePublishRequest(encodePublishRequest(EVENT))).toEqual(EVENT);
  expect(decodeEvent(encodeEvent(EVENT))).toEqual(EVENT);
});

test("attributes have the bytes that peers send", () => {
  const bytes = encodeEvent(EVENT);

  // A version of 0 is present, not left out; so is an empty text.
  expect(holds(bytes, "0a12 63652d7265736f7572636576657273696f6e 1202 1000")).toBeTrue();
  expect(holds(bytes, "0a11 63652d6f726967696e616c736f75726365 1202 1a00")).toBeTrue();
  expect(holds(bytes, "0a14 63652d64656c6574696f6e74696d657374616d70 1208 3a06 08a5ebdcca06"))
    .toBeTrue();
  expect(holds(bytes, "0a07 63652d74696d65 120e 3a0c 08a5ebdcca06 10f2ebdcc302")).toBeTrue();
  expect(holds(bytes, "0a0b 636f6e74656e7474797065 1212 1a10")).toBeTrue();
});

test("a subscription of an agent has the bytes that peers send", () => {
  const bytes = encodeSubscription({
    source: "",
    clusterName: "cluster1",
    dataType: "io.open-cluster-management.works.v1alpha1.manifestbundles",
  });

  expect(holds(bytes, "1208 636c757374657231 1a39")).toBeTrue();
});

test("a version that came over MQTT as text leaves as the integer that peers expect", () => {
  const event = { ...EVENT, extensions: { ...EVENT.extensions, [EXT.resourceVersion]: "7" } };

  expect(decodeEvent(encodeEvent(event)).extensions[EXT.resourceVersion]).toBe(7);
});

test("a version that peers cannot hold stays the text that it came as", () => {
  for (const version of ["2147483648", "1e400", "", "x"]) {
    const event = { ...EVENT, extensions: { ...EVENT.extensions, [EXT.resourceVersion]: version } };

    expect(decodeEvent(encodeEvent(event)).extensions[EXT.resourceVersion]).toBe(version);
  }
});

test("a structured event in the data is read as the event", () => {
  const data = encodeStructured(EVENT);
  const wrapped: CloudEvent = {
    ...{ id: "", source: "", type: "", extensions: { any: "thing" } },
    datacontenttype: "application/cloudevents+json",
    data,
  };

  expect(decodeEvent(encodeEvent(wrapped))).toEqual(decodeStructured(data));
});

test("every cut of a message is refused or read, never a crash", () => {
  const bytes = encodePublishRequest(EVENT);
  for (let length = 0; length < bytes.length; length++) {
    try {
      decodePublishRequest(bytes.subarray(0, length));
    } catch (error) {
      expect(String(error)).toContain("failed to convert protobuf to cloudevent");
    }
  }
});

test("data that is not UTF-8 is refused", () => {
  const bytes = Buffer.from(encodeEvent({ ...EVENT, data: '{"a":"xy"}' }));
  bytes[bytes.indexOf("xy")] = 0xc3;

  expect(() => decodeEvent(bytes)).toThrow("its data is not UTF-8");
});

test("a status resync names hashes by resource id", () => {
  expect(encodeStatusResync([{ resourceId: "a", hash: "b" }])).toBe(
    '{"statusHashes":[{"resourceID":"a","statusHash":"b"}]}',
  );
});
