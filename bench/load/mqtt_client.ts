/** An MQTT 5 client on a bare socket, light enough not to be what is measured. */

import { generate, parser } from "mqtt-packet";

export interface MqttClient {
  /** Sends a PUBLISH with QoS 1 (a copy, whose packet id is written here); resolves when the broker has it. */
  publish(packet: Uint8Array): Promise<void>;
  close(): void;
}

const V5 = { protocolVersion: 5 };
const PACKET_IDS = 65_535;
/** As many as mosquitto takes at once by its defaults. */
const UNDER_WAY_MAX = 20;

/** Connects, and subscribes to a topic if one is given; `hear` gets the payloads with their user properties. */
export async function openMqttClient(
  port: number,
  subscription?: { topic: string; hear: (packet: { properties: unknown }) => void },
): Promise<MqttClient> {
  const ready = Promise.withResolvers<void>();
  const acknowledged = new Map<number, () => void>();
  const room: (() => void)[] = [];
  const reader = parser(V5);
  reader.on("packet", (packet) => {
    if (packet.cmd === "connack") {
      if (subscription === undefined) return ready.resolve();
      const subscriptions = [{ topic: subscription.topic, qos: 1 as const }];
      socket.write(generate({ cmd: "subscribe", messageId: 1, subscriptions }, V5));
    } else if (packet.cmd === "suback") ready.resolve();
    else if (packet.cmd === "puback") {
      acknowledged.get(packet.messageId ?? 0)?.();
      acknowledged.delete(packet.messageId ?? 0);
      room.shift()?.();
    } else if (packet.cmd === "publish") {
      socket.write(generate({ cmd: "puback", messageId: packet.messageId ?? 0 }, V5));
      subscription?.hear(packet as { properties: unknown });
    }
  });
  let rest: Uint8Array = new Uint8Array();
  const flush = () => {
    if (rest.length === 0) return;
    const written = socket.write(rest);
    rest = rest.subarray(Math.max(written, 0));
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => void reader.parse(chunk),
      drain: flush,
      close: () => ready.reject(new Error("The broker has closed the connection")),
      error: (_, error) => ready.reject(error),
    },
  });
  const isEager = true;
  socket.setNoDelay(isEager);
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
      rest = rest.length === 0 ? packet : Buffer.concat([rest, packet]);
      flush();
      await done.promise;
    },
    close: () => socket.end(),
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
