/** Writes an event straight to the bytes of a CloudEvent message: what each delivery pays for. */

import {
  type CloudEvent,
  EXT,
  type ExtensionValue,
  isInt32,
  MANIFEST_BUNDLES,
  MANIFESTS,
} from "./event.ts";
import { ProtobufWriter, varintBytes, writeVarint } from "./protobuf_writer.ts";
import { PREFIX } from "./text_attributes.ts";
import { isRfc3339, splitTime } from "./time.ts";

/** Field numbers with their wire types: a varint is 0, what has a length 2. */
const EVENT_TAG = { id: 10, source: 18, specVersion: 26, type: 34, attributes: 42, data: 50 };
const ENTRY_TAG = { key: 10, value: 18 };
const VALUE_TAG = { boolean: 8, integer: 16, text: 26, bytes: 34, timestamp: 58 };
const TIMESTAMP_TAG = { seconds: 8, nanos: 16 };

// One for all: nothing is awaited between the first byte of an event and the last.
const writer = new ProtobufWriter();

/** The bytes of a CloudEvent message. Everything but the data, which may be long, is copied once. */
export function writeEvent(event: CloudEvent): Buffer {
  writer.reset();
  writeAttributes(event);
  const written = writer.written();
  const { data } = event;
  if (data === undefined) return Buffer.from(written);
  const dataBytes = Buffer.byteLength(data);
  const head = written.length + 1 + varintBytes(dataBytes);
  const message = Buffer.allocUnsafeSlow(head + dataBytes);
  message.set(written);
  message[written.length] = EVENT_TAG.data;
  writeVarint(message, written.length + 1, dataBytes);
  message.write(data, head, "utf8");
  return message;
}

function writeAttributes(event: CloudEvent): void {
  const { id, source, type, time, datacontenttype, subject, dataschema, extensions } = event;
  // As in all of protobuf, an empty text is left out, and in an attribute it is not.
  if (id !== "") writer.text(EVENT_TAG.id, id);
  if (source !== "") writer.text(EVENT_TAG.source, source);
  writer.text(EVENT_TAG.specVersion, "1.0");
  if (type !== "") writer.text(EVENT_TAG.type, type);
  if (datacontenttype !== undefined) writeAttribute("contenttype", datacontenttype);
  if (time !== undefined) writeTime("ce-time", time);
  if (subject !== undefined) writeAttribute("ce-subject", subject);
  if (dataschema !== undefined) writeAttribute("ce-dataschema", dataschema);
  for (const name in extensions) {
    const value = extensions[name];
    if (value === undefined) continue;
    const key = PREFIX + name;
    if (name === EXT.deletionTimestamp && typeof value === "string") writeTime(key, value);
    else if (name === EXT.resourceVersion) writeAttribute(key, peersVersion(value, type));
    else writeAttribute(key, value);
  }
}

/** Peers read a string as well, but their sources expect the number (quirk Q38 of the wire). */
function peersVersion(value: ExtensionValue, type: string): ExtensionValue {
  if (typeof value !== "string" || value === "" || !isWork(type)) return value;
  const number = Number(value);
  return isInt32(number) ? number : value;
}

function isWork(type: string): boolean {
  return type.startsWith(`${MANIFEST_BUNDLES}.`) || type.startsWith(`${MANIFESTS}.`);
}

function writeAttribute(key: string, value: ExtensionValue): void {
  const entry = beginEntry(key);
  const from = writer.begin();
  if (typeof value === "string") writer.text(VALUE_TAG.text, value);
  else if (typeof value === "number") writeInteger(key, value);
  else if (typeof value === "boolean") {
    writer.uint(VALUE_TAG.boolean);
    writer.uint(value ? 1 : 0);
  } else writer.bytes(VALUE_TAG.bytes, value);
  writer.end(from);
  writer.end(entry);
}

function beginEntry(key: string): number {
  writer.uint(EVENT_TAG.attributes);
  const entry = writer.begin();
  writer.text(ENTRY_TAG.key, key);
  writer.uint(ENTRY_TAG.value);
  return entry;
}

function writeInteger(key: string, value: number): void {
  if (!isInt32(value)) throw new Error(`Cannot write ${key}: ${value} is no 32-bit integer`);
  writer.uint(VALUE_TAG.integer);
  writer.int(value);
}

/** RFC 3339 text as a timestamp, keeping nanoseconds. What is no time stays text. */
function writeTime(key: string, text: string): void {
  if (!isRfc3339(text)) return writeAttribute(key, text);
  const { seconds, nanos } = splitTime(text);
  const entry = beginEntry(key);
  const value = writer.begin();
  writer.uint(VALUE_TAG.timestamp);
  const timestamp = writer.begin();
  if (seconds !== 0) {
    writer.uint(TIMESTAMP_TAG.seconds);
    writer.int(seconds);
  }
  if (nanos !== 0) {
    writer.uint(TIMESTAMP_TAG.nanos);
    writer.int(nanos);
  }
  writer.end(timestamp);
  writer.end(value);
  writer.end(entry);
}
