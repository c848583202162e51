/**
 * PUBLISH and PUBACK, of which nearly all traffic consists. Every other packet is mqtt-packet's, and so is a PUBLISH or
 * PUBACK with anything in it that events do not have.
 *
 * Ours costs a fifth of the library's, which makes some thirty small buffers of one PUBLISH (docs/decisions/0014).
 */

import { MaestroError } from "../errors.ts";
import type { MqttMessage, ReceivedMessage } from "../wire/mqtt.ts";
import type { PublishPacket } from "./window.ts";

/** What came is no MQTT 5. */
export class MalformedPacket extends Error {}

/** A PUBLISH as it was received. */
export interface Received {
  topic: string;
  /** Absent with QoS 0: nothing is acknowledged. */
  messageId: number | undefined;
  message: ReceivedMessage;
}

const TYPE = 0xf0;
const PUBLISH = 0x30;
const QOS_SHIFT = 1;
const QOS = 0x03;
const PUBACK = 0x40;
const PUBACK_BYTES = 4;
const CONTENT_TYPE = 0x03;
const USER_PROPERTY = 0x26;

/** MQTT 5 §1.5.4: the length of a text is two bytes. */
const TEXT_BYTES_MAX = 0xffff;
/** §1.5.5: a length is seven bits a byte, in at most four bytes. */
const LENGTH_MAX = 0x0fff_ffff;
const LENGTH_BYTES_MAX = 4;

/**
 * Makes a PUBLISH. Encoded once: whether it fits, and when it may leave, is known before its identifier is.
 *
 * Throws `invalid_argument` if a text is longer than MQTT carries, `too_large` if the whole is.
 */
export function encodePublish(
  topic: string,
  { contentType, userProperties, payload }: MqttMessage,
  qos: 0 | 1,
): PublishPacket {
  let propertyBytes = contentType === undefined ? 0 : 1 + sizeOf(contentType);
  for (const name in userProperties) {
    propertyBytes += 1 + sizeOf(name) + sizeOf(userProperties[name] ?? "");
  }
  const topicBytes = sizeOf(topic);
  const length = topicBytes + 2 * qos + lengthBytes(propertyBytes) + propertyBytes + payload.length;
  if (length > LENGTH_MAX) {
    throw new MaestroError("too_large", `Cannot publish to "${topic}": it has ${length} bytes`);
  }
  const bytes = Buffer.allocUnsafe(1 + lengthBytes(length) + length);
  bytes[0] = PUBLISH | (qos << QOS_SHIFT);
  const idAt = writeText(bytes, writeLength(bytes, 1, length), topic);
  let at = writeLength(bytes, idAt + 2 * qos, propertyBytes);
  if (contentType !== undefined) {
    bytes[at] = CONTENT_TYPE;
    at = writeText(bytes, at + 1, contentType);
  }
  for (const name in userProperties) {
    bytes[at] = USER_PROPERTY;
    at = writeText(bytes, writeText(bytes, at + 1, name), userProperties[name] ?? "");
  }
  bytes.set(payload, at);
  return { bytes, idAt };
}

/**
 * Reads a whole PUBLISH, whose topic begins at `from`. Undefined if it has properties that events do not have, or a QoS
 * that there is not. Throws if it is malformed.
 */
export function decodePublish(packet: Buffer, from: number): Received | undefined {
  const qos = ((packet[0] ?? 0) >> QOS_SHIFT) & QOS;
  if (qos > 1) return undefined;
  const topicEnd = endOfText(packet, from);
  const propertiesAt = topicEnd + 2 * qos;
  const { value: propertyBytes, end: start } = readLength(packet, propertiesAt) ?? malformed();
  const end = start + propertyBytes;
  const userProperties: [name: string, value: string][] = [];
  const message: ReceivedMessage = { userProperties, payload: packet.subarray(end) };
  for (let at = start; at < end;) {
    const property = packet[at++];
    if (property !== USER_PROPERTY && property !== CONTENT_TYPE) return undefined;
    const textEnd = endOfText(packet, at);
    const text = packet.toString("utf8", at + 2, textEnd);
    if (property === CONTENT_TYPE) message.contentType = text;
    at = textEnd;
    if (property === USER_PROPERTY) {
      at = endOfText(packet, textEnd);
      userProperties.push([text, packet.toString("utf8", textEnd + 2, at)]);
    }
    if (at > end) malformed();
  }
  return {
    topic: packet.toString("utf8", from + 2, topicEnd),
    messageId: qos === 0 ? undefined : packet.readUInt16BE(topicEnd),
    message,
  };
}

/** Makes the PUBACKs that say yes to these messages, in their order. */
export function encodePubacks(messageIds: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(PUBACK_BYTES * messageIds.length);
  let at = 0;
  for (const messageId of messageIds) {
    bytes[at++] = PUBACK;
    bytes[at++] = PUBACK_BYTES - 2;
    at = bytes.writeUInt16BE(messageId, at);
  }
  return bytes;
}

/** True for a PUBLISH, whatever is in it. */
export function isPublish(packet: Buffer): boolean {
  return ((packet[0] ?? 0) & TYPE) === PUBLISH;
}

/** The id in a PUBACK that has nothing else in it, which means yes; undefined for any other packet. */
export function readPuback(packet: Buffer): number | undefined {
  return packet.length === PUBACK_BYTES && packet[0] === PUBACK
    ? packet.readUInt16BE(2)
    : undefined;
}

/** A length of seven bits a byte, and where it ends; undefined if there are more bytes to come. Throws if it is none. */
export function readLength(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let count = 0; count < LENGTH_BYTES_MAX; count++) {
    const byte = bytes[at + count];
    if (byte === undefined) return undefined;
    value |= (byte & 0x7f) << (7 * count);
    if (byte < 0x80) return { value, end: at + count + 1 };
  }
  throw new MalformedPacket("a length has more than four bytes");
}

function writeLength(bytes: Buffer, at: number, length: number): number {
  let [rest, end] = [length, at];
  for (; rest >= 0x80; rest >>>= 7) bytes[end++] = (rest & 0x7f) | 0x80;
  bytes[end++] = rest;
  return end;
}

function lengthBytes(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
}

function sizeOf(text: string): number {
  const size = Buffer.byteLength(text);
  if (size <= TEXT_BYTES_MAX) return 2 + size;
  throw new MaestroError(
    "invalid_argument",
    `Cannot publish: a text has ${size} bytes, and MQTT carries at most ${TEXT_BYTES_MAX}`,
  );
}

/** Writes a text behind its length; returns where it ends. */
function writeText(bytes: Buffer, at: number, text: string): number {
  const size = bytes.write(text, at + 2);
  bytes.writeUInt16BE(size, at);
  return at + 2 + size;
}

/** Where a text ends whose length stands at `at`. */
function endOfText(packet: Buffer, at: number): number {
  if (at + 2 > packet.length) malformed();
  const end = at + 2 + packet.readUInt16BE(at);
  return end > packet.length ? malformed() : end;
}

function malformed(): never {
  throw new MalformedPacket("a PUBLISH is not what its lengths say");
}
