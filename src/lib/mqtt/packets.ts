/** What the library makes and takes apart for us: the packets that are rare. */

import { type Packet, writeToStream } from "mqtt-packet";
import { MalformedPacket, type Received } from "./publish_packet.ts";

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
export const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;
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

/** A PUBLISH that the library has read. Throws if it was too short for what it says: the library makes null of that. */
export function toReceived(packet: Packet & { cmd: "publish" }): Received {
  const { contentType, userProperties = {} } = packet.properties ?? {};
  const { topic, qos, messageId = 0, payload } = packet;
  return {
    topic,
    messageId: qos === 0 ? undefined : messageId,
    message: {
      ...(contentType === undefined ? {} : { contentType: textOf(contentType) }),
      userProperties: Object.entries(userProperties).flatMap(([name, given]) =>
        [given].flat().map((value) => [name, textOf(value)] as const)
      ),
      payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    },
  };
}

/** Of several values the last one counts. */
function textOf(given: unknown): string {
  const value: unknown = Array.isArray(given) ? given.at(-1) : given;
  if (typeof value === "string") return value;
  throw new MalformedPacket("a PUBLISH is not what its lengths say");
}
