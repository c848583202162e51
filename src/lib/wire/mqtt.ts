/**
 * Events as MQTT 5 messages: CloudEvents binary mode in the flavour of the peers (wire.md §1.5).
 *
 * Not the official CloudEvents MQTT binding: each attribute is a user property called `ce-<name>`. All values
 * are text on this road; readers coerce (event.ts).
 */

import { MaestroError } from "../errors.ts";
import { parseJsonObject } from "../json.ts";
import { type CloudEvent, EXT, type ExtensionValue } from "./event.ts";
import { decodeStructured } from "./structured.ts";
import { PREFIX, readAttributes } from "./text_attributes.ts";
import { canonicalTime, isRfc3339 } from "./time.ts";

/** The parts of a PUBLISH that carry an event. */
export interface MqttMessage {
  contentType?: string;
  userProperties: Record<string, string>;
  payload: Uint8Array;
}

/** The same as it was received: a user property may come more than once. */
export interface ReceivedMessage extends Omit<MqttMessage, "userProperties"> {
  userProperties: readonly (readonly [name: string, value: string])[];
}

/** The same, with a list of the values of a user property that came more than once. */
interface GroupedMessage extends Omit<MqttMessage, "userProperties"> {
  userProperties: Readonly<Record<string, string | string[]>>;
}

/** MQTT 5 §1.5.4: the length of a text is two bytes. */
const TEXT_BYTES_MAX = 65_535;
const NO_PAYLOAD = new Uint8Array();
const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** Throws `invalid_argument` if an attribute is longer than MQTT carries; metadata is cut to fit instead. */
export function encodeMqtt(event: CloudEvent): MqttMessage {
  // Peers write these five first and in this order; then the others in any.
  const attributes: [string, ExtensionValue | undefined][] = [
    ["id", event.id],
    ["source", event.source],
    ["specversion", "1.0"],
    ["type", event.type],
    ["dataschema", event.dataschema],
    ["subject", event.subject],
    ["time", event.time],
    ...Object.entries(event.extensions),
  ];
  const userProperties: Record<string, string> = {};
  for (const [name, value] of attributes) {
    if (value !== undefined) userProperties[PREFIX + name] = fit(name, canonicalText(name, value));
  }
  return {
    ...(event.datacontenttype === undefined ? {} : { contentType: event.datacontenttype }),
    userProperties,
    payload: event.data === undefined ? NO_PAYLOAD : encoder.encode(event.data),
  };
}

/** Reads a message in binary or structured mode. Throws `invalid_argument` if it is no event. */
export function decodeMqtt(message: ReceivedMessage | GroupedMessage): CloudEvent {
  const { contentType, userProperties, payload } = message;
  const text = decodeUtf8(payload);
  if (contentType?.toLowerCase().startsWith("application/cloudevents")) {
    return decodeStructured(text);
  }
  const pairs = isList(userProperties) ? userProperties : Object.entries(userProperties);
  const event = readAttributes(pairs, undecodable);
  if (contentType !== undefined) event.datacontenttype = contentType;
  if (payload.length > 0) event.data = text;
  return event;
}

function isList<T>(value: readonly T[] | object): value is readonly T[] {
  return Array.isArray(value);
}

function canonicalText(name: string, value: ExtensionValue): string {
  const isTime = name === "time" || name === EXT.deletionTimestamp;
  if (typeof value === "string") return isTime && isRfc3339(value) ? canonicalTime(value) : value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return String(value);
}

function fit(name: string, value: string): string {
  if (value.length * 3 <= TEXT_BYTES_MAX || Buffer.byteLength(value) <= TEXT_BYTES_MAX) {
    return value;
  }
  // Helps to follow a request through logs; everything works without it.
  if (name === EXT.logTracing) return "{}";
  const short = name === EXT.metadata ? essentialMetadata(value) : value;
  if (Buffer.byteLength(short) <= TEXT_BYTES_MAX) return short;
  throw new MaestroError(
    "invalid_argument",
    `Cannot send the event: its attribute ${name} has ${Buffer.byteLength(value)} bytes, and ` +
      `MQTT carries at most ${TEXT_BYTES_MAX}`,
  );
}

/** What a receiver needs of metadata that is too long for MQTT (quirk Q13 of the wire). */
function essentialMetadata(text: string): string {
  const metadata = parseJsonObject(text, "the metadata extension");
  const { name, namespace, uid, resourceVersion, generation } = metadata;
  const { creationTimestamp, deletionTimestamp, labels } = metadata;
  const times = { creationTimestamp, deletionTimestamp };
  const identity = { name, namespace, uid, resourceVersion, generation, ...times };
  const labelled = JSON.stringify({ ...identity, labels });
  return Buffer.byteLength(labelled) <= TEXT_BYTES_MAX ? labelled : JSON.stringify(identity);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw undecodable("its data is not UTF-8", cause);
  }
}

function undecodable(state: string, cause?: unknown): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `failed to convert the message to cloudevent: ${state}`,
    { cause },
  );
}
