/** Every event that the Go server, its clients and the real agent were seen to send is read, and written again the same. */

import { expect, test } from "bun:test";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import {
  type CloudEvent as CloudEventMessage,
  CloudEventSchema,
} from "../../src/gen/cloudevent_pb.ts";
import {
  type CloudEvent,
  EXT,
  type ExtensionValue,
  HEARTBEAT_TYPE,
} from "../../src/lib/wire/event.ts";
import { ACTION, parseEventType } from "../../src/lib/wire/event_type.ts";
import { decodeMqtt, encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { decodeEvent, encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { parseSpec } from "../../src/lib/wire/read_spec.ts";
import { decodeSpecResync, decodeStatusResync } from "../../src/lib/wire/resync.ts";
import { legacyStatusHash, statusHash } from "../../src/lib/wire/status_hash.ts";
import { parseStatus } from "../../src/lib/wire/work_status.ts";
import { capturedFiles, mqttOf, protobufOf } from "../harness/golden.ts";

const FILES = capturedFiles();

/** A message with its parts by name. Bytes are text here, and numbers may be large. */
function partsOf(message: CloudEventMessage) {
  return toJson(CloudEventSchema, message) as {
    attributes?: Record<string, Record<string, unknown>>;
  } & Record<string, unknown>;
}

/** Over MQTT the Go server keeps a version as text and passes it on so; ours is always the number. */
function withNumber(message: ReturnType<typeof partsOf>) {
  const version = message.attributes?.["ce-resourceversion"];
  if (version?.["ceString"] === undefined) return message;
  const number = { "ce-resourceversion": { ceInteger: Number(version["ceString"]) } };
  return { ...message, attributes: { ...message.attributes, ...number } };
}

for (const { name, records } of FILES) {
  const messages = records.flatMap((record) => protobufOf(record) ?? []);
  if (messages.length === 0) continue;
  test(`what gRPC carried in ${name} is read, and written again as it was`, () => {
    for (const bytes of messages) {
      const original = fromBinary(CloudEventSchema, bytes);

      const event = decodeEvent(bytes);
      const again = fromBinary(CloudEventSchema, encodeEvent(event));

      expect(partsOf(again)).toEqual(withNumber(partsOf(original)));
      expect([event.id, event.source, event.type])
        .toEqual([original.id, original.source, original.type]);
      for (const [key, { attr }] of Object.entries(original.attributes)) {
        if (attr.case !== "ceString" && attr.case !== "ceInteger") continue;
        const value: ExtensionValue | undefined = key === "contenttype"
          ? event.datacontenttype
          : event.extensions[key.slice("ce-".length)];
        expect(value).toBe(attr.value);
      }
      const data = original.data.case === "binaryData" ? original.data.value : undefined;
      expect(event.data).toBe(data && Buffer.from(data).toString());
    }
  });
}

for (const { name, records } of FILES) {
  const messages = records.flatMap((record) => mqttOf(record) ?? []);
  if (messages.length === 0) continue;
  test(`what MQTT carried in ${name} is read, and written again as it was`, () => {
    for (const message of messages) {
      const event = decodeMqtt(message);
      const again = encodeMqtt(event);

      expect(again).toEqual(message);
      // Peers write these first; the others are in any order.
      const core = ["ce-id", "ce-source", "ce-specversion", "ce-type", "ce-time"];
      expect(Object.keys(again.userProperties).slice(0, 5)).toEqual(core);
      expect(Object.keys(message.userProperties).slice(0, 5)).toEqual(core);
    }
  });
}

test("the hash of each status that the real agent sent is the one that we compute", () => {
  const reports = FILES.filter(({ name }) => name.startsWith("agent-"))
    .flatMap(({ records }) => records.flatMap((record) => mqttOf(record) ?? []))
    .map(decodeMqtt)
    .filter(({ extensions }) => extensions[EXT.statusHash] !== undefined);

  const computed = reports.map(({ data }) => statusHash(parseStatus(data ?? "")));

  expect(reports.length).toBeGreaterThanOrEqual(12);
  expect(computed).toEqual(reports.map(({ extensions }) => String(extensions[EXT.statusHash])));
  for (const { data } of reports) {
    expect(computed).not.toContain(legacyStatusHash(parseStatus(data ?? "")));
  }
});

/** Reads the data of an event as whoever receives it does. */
function readPayload({ type, data }: CloudEvent): boolean {
  const { dataType, subresource, action } = parseEventType(type);
  if (data === undefined) return false;
  if (action !== ACTION.resyncRequest) {
    if (subresource === "spec") parseSpec(dataType, data);
    else parseStatus(data);
  } else if (subresource === "spec") decodeSpecResync(data);
  else decodeStatusResync(data);
  return true;
}

test("the data of every captured event is read without a complaint", () => {
  const events = FILES.flatMap(({ records }) =>
    records.flatMap((record) => {
      const [message, bytes] = [mqttOf(record), protobufOf(record)];
      return message ? [decodeMqtt(message)] : bytes ? [decodeEvent(bytes)] : [];
    })
  ).filter(({ type }) => type !== HEARTBEAT_TYPE);

  const read = events.filter(readPayload);

  // The others are deletions, or were kept without their data.
  expect(read.length).toBeGreaterThan(100);
});
