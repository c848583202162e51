/** An MQTT 5 client on a bare socket, light enough not to be what is measured. */

import { generate, type Packet } from "mqtt-packet";
import { createPacketReader } from "../../src/lib/mqtt/packet_reader.ts";
import { encodePubacks } from "../../src/lib/mqtt/publish_packet.ts";
import type { ReceivedMessage } from "../../src/lib/wire/mqtt.ts";
import { openLoadSocket } from "./socket.ts";

export interface MqttClient {
  /** Sends a PUBLISH with QoS 1 (a copy, whose packet id is written here); resolves when the broker has it. */
  publish(packet: Uint8Array): Promise<void>;
  close(): void;
}

const V5 = { protocolVersion: 5 };
const PACKET_IDS = 65_535;
/** As many as mosquitto takes at once by its defaults. */
const UNDER_WAY_MAX = 20;

/** Connects, and subscribes to a topic if one is given; `hear` gets what comes. */
export async function openMqttClient(
  port: number,
  subscription?: { topic: string; hear: (message: ReceivedMessage) => void },
): Promise<MqttClient> {
  const ready = Promise.withResolvers<void>();
  const acknowledged = new Map<number, () => void>();
  const room: (() => void)[] = [];
  let heard: number[] = [];
  const settle = (messageId: number) => {
    acknowledged.get(messageId)?.();
    acknowledged.delete(messageId);
    room.shift()?.();
  };
  const read = createPacketReader({
    publish({ messageId, message }) {
      if (messageId !== undefined) heard.push(messageId);
      subscription?.hear(message);
    },
    acknowledged: settle,
    packet(packet: Packet) {
      if (packet.cmd === "puback") settle(packet.messageId ?? 0);
      else if (packet.cmd === "suback") ready.resolve();
      else if (packet.cmd === "connack") {
        if (subscription === undefined) return ready.resolve();
        const subscriptions = [{ topic: subscription.topic, qos: 1 as const }];
        socket.write(generate({ cmd: "subscribe", messageId: 1, subscriptions }, V5));
      }
    },
    failed: ready.reject,
  });
  const socket = await openLoadSocket(port, {
    received(piece) {
      read(piece);
      if (heard.length > 0) socket.write(encodePubacks(heard));
      heard = [];
    },
    closed: () => ready.reject(new Error("The broker has closed the connection")),
  });
  socket.write(generate({
    cmd: "connect",
    clientId: crypto.randomUUID(),
    clean: true,
    keepalive: 0,
    protocolVersion: 5,
    properties: { receiveMaximum: 1_000 },
  }, V5));
  await ready.promise;
  let last = 1;
  return {
    async publish(packet) {
      while (acknowledged.size >= UNDER_WAY_MAX) {
        await new Promise<void>((resolve) => room.push(resolve));
      }
      last = last % PACKET_IDS + 1;
      const [id, done] = [last, Promise.withResolvers<void>()];
      acknowledged.set(id, done.resolve);
      writePacketId(packet, id);
      socket.write(packet);
      await done.promise;
    },
    close: () => socket.close(),
  };
}

/** The packet id comes after the topic, which comes after one byte and the length of the rest. */
function writePacketId(packet: Uint8Array, id: number): void {
  let at = 1;
  while (((packet[at] ?? 0) & 0x80) !== 0) at++;
  const topicAt = at + 1;
  const topicBytes = ((packet[topicAt] ?? 0) << 8) | (packet[topicAt + 1] ?? 0);
  packet[topicAt + 2 + topicBytes] = id >> 8;
  packet[topicAt + 3 + topicBytes] = id & 0xff;
}
