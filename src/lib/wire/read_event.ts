/** Reads the CloudEvent message straight to an event: what each create and each report pays for. */

import { MaestroError } from "../errors.ts";
import { type CloudEvent, type ExtensionValue, isExtensionName } from "./event.ts";
import type { ProtobufReader } from "./protobuf_reader.ts";
import { decodeStructured } from "./structured.ts";
import { PREFIX } from "./text_attributes.ts";
import { joinTime } from "./time.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });
const BYTE_ORDER_MARK = 0xfeff;

interface Timestamp {
  seconds: number;
  nanos: number;
}

type AttributeValue = ExtensionValue | Timestamp | undefined;

/** A message as far as it was read: one that comes in parts is put together from all of them. */
export interface EventMessage {
  id: string;
  source: string;
  specVersion: string;
  type: string;
  attributes: Map<string, AttributeValue>;
  binaryData: Buffer | undefined;
}

/** A message of which nothing was read. */
export function emptyMessage(): EventMessage {
  return {
    ...{ id: "", source: "", specVersion: "", type: "" },
    attributes: new Map(),
    binaryData: undefined,
  };
}

/** Reads a CloudEvent message up to `end` and adds it to what was read. */
export function readMessage(reader: ProtobufReader, end: number, message: EventMessage): void {
  while (reader.at < end) {
    const tag = reader.tag();
    switch (tag >>> 3) {
      case 1:
        message.id = reader.text();
        break;
      case 2:
        message.source = reader.text();
        break;
      case 3:
        message.specVersion = reader.text();
        break;
      case 4:
        message.type = reader.text();
        break;
      case 5:
        readAttribute(reader, message.attributes);
        break;
      case 6:
        message.binaryData = reader.bytes();
        break;
      case 7:
        // Of the three kinds of data the last one counts, and only bytes are used.
        reader.text();
        message.binaryData = undefined;
        break;
      case 8:
        readAny(reader);
        message.binaryData = undefined;
        break;
      default:
        reader.skip(tag);
    }
  }
}

function readAttribute(reader: ProtobufReader, attributes: EventMessage["attributes"]): void {
  let key = "";
  let value: AttributeValue;
  const end = reader.end();
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag >>> 3 === 1) key = reader.text();
    else if (tag >>> 3 === 2) value = readValue(reader, value);
    else reader.skip(tag);
  }
  attributes.set(key, value);
}

function readValue(reader: ProtobufReader, before: AttributeValue): AttributeValue {
  let value = before;
  const end = reader.end();
  while (reader.at < end) {
    const tag = reader.tag();
    switch (tag >>> 3) {
      case 1:
        value = reader.bool();
        break;
      case 2:
        value = reader.int32();
        break;
      case 3:
      case 5:
      case 6:
        value = reader.text();
        break;
      case 4:
        // A copy, which does not keep the whole message in memory.
        value = Uint8Array.from(reader.bytes());
        break;
      case 7:
        value = readTimestamp(reader, isTimestamp(value) ? value : { seconds: 0, nanos: 0 });
        break;
      default:
        reader.skip(tag);
    }
  }
  return value;
}

function readTimestamp(reader: ProtobufReader, value: Timestamp): Timestamp {
  let { seconds, nanos } = value;
  const end = reader.end();
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag >>> 3 === 1) seconds = reader.int64();
    else if (tag >>> 3 === 2) nanos = reader.int32();
    else reader.skip(tag);
  }
  return { seconds, nanos };
}

/** A message of any type, which is data that nobody here can use. */
function readAny(reader: ProtobufReader): void {
  const end = reader.end();
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag >>> 3 === 1) reader.text();
    else if (tag >>> 3 === 2) reader.bytes();
    else reader.skip(tag);
  }
}

/** The event that a message is. Throws `invalid_argument` if it is none. */
export function toEvent(message: EventMessage): CloudEvent {
  const { attributes, binaryData } = message;
  const text = binaryData === undefined ? undefined : decodeUtf8(binaryData);
  const contentType = attributes.get("contenttype");
  const contentTypeText = typeof contentType === "string" ? contentType : undefined;
  if (contentTypeText?.toLowerCase().startsWith("application/cloudevents")) {
    return decodeStructured(text ?? "");
  }
  if (message.specVersion !== "1.0" && message.specVersion !== "0.3") {
    throw undecodable(`the spec version must be "1.0", not "${message.specVersion}"`);
  }
  const { id, source, type } = message;
  const event: CloudEvent = { id, source, type, extensions: {} };
  if (contentTypeText !== undefined) event.datacontenttype = contentTypeText;
  if (text !== undefined) event.data = text;
  for (const [key, given] of attributes) {
    if (!key.startsWith(PREFIX) || given === undefined) continue;
    const name = key.slice(PREFIX.length);
    const value = isTimestamp(given) ? rfc3339(given) : given;
    if (name === "time" || name === "subject" || name === "dataschema") {
      if (typeof value === "string") event[name] = value;
    } else if (isExtensionName(name)) event.extensions[name] = value;
  }
  return event;
}

/** Says why something is no event. */
export function undecodable(state: string, cause?: unknown): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `failed to convert protobuf to cloudevent: ${state}`,
    { cause },
  );
}

function decodeUtf8(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (text.charCodeAt(0) !== BYTE_ORDER_MARK && !text.includes("\ufffd")) return text;
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw undecodable("its data is not UTF-8", cause);
  }
}

function isTimestamp(value: AttributeValue): value is Timestamp {
  return typeof value === "object" && !(value instanceof Uint8Array);
}

function rfc3339(timestamp: Timestamp): string {
  const text = joinTime(timestamp);
  if (text === undefined) throw undecodable("a timestamp is out of range");
  return text;
}
