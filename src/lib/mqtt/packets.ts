/** The MQTT packets that we make and take apart, besides those that are a few bytes. */

import { generate, type Packet, writeToStream } from "mqtt-packet";
import type { MqttMessage } from "../wire/mqtt.ts";
import type { PublishPacket } from "./window.ts";

/** What a connection is opened with. */
export interface ConnectOptions {
  clientId: string;
  username?: string;
  password?: string;
  /** Pings are sent in between; 0 switches them off, and with them the noticing of dead connections. */
  keepAliveSeconds: number;
  /** Forget what an earlier connection of this client id has left at the broker. */
  cleanStart: boolean;
  /** How long the broker keeps messages for us after the connection ends. */
  sessionExpirySeconds: number;
  /** Messages that may wait here for their acknowledgement. */
  receiveMax: number;
}

/** A fraction of what an attacker could make us keep; far above any event. */
const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;
export const V5 = { protocolVersion: 5 };

// By itself the library makes a buffer of each number that two bytes hold, 4 MB, at its first packet.
writeToStream.cacheNumbers = false;

/** The packet that opens a connection. */
export function connectPacket(options: ConnectOptions): Packet {
  const { clientId, username, password, keepAliveSeconds, cleanStart } = options;
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: cleanStart,
    clientId,
    keepalive: keepAliveSeconds,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    properties: {
      sessionExpiryInterval: options.sessionExpirySeconds,
      receiveMaximum: options.receiveMax,
      maximumPacketSize: RECEIVE_BYTES_MAX,
    },
  };
}

/** A PUBLISH. Encoded once: whether it fits, and when it may leave, is known before its identifier is. */
export function encodePublish(
  topic: string,
  { contentType, userProperties, payload }: MqttMessage,
  qos: 0 | 1,
): PublishPacket {
  const bytes = generate({
    cmd: "publish",
    topic,
    qos,
    ...(qos === 0 ? {} : { messageId: 1 }),
    dup: false,
    retain: false,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    properties: { ...(contentType === undefined ? {} : { contentType }), userProperties },
  }, V5);
  let lengthEnd = 1;
  while (((bytes[lengthEnd] ?? 0) & 0x80) !== 0) lengthEnd++;
  return { bytes, idAt: lengthEnd + 1 + 2 + Buffer.byteLength(topic) };
}

/** The parts of a PUBLISH that carry an event. */
export function toMessage(packet: Packet & { cmd: "publish" }): MqttMessage {
  const { contentType, userProperties = {} } = packet.properties ?? {};
  const { payload } = packet;
  return {
    ...(contentType === undefined ? {} : { contentType }),
    userProperties,
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
  };
}
