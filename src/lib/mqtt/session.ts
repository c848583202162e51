/**
 * One connection to an MQTT 5 broker, from CONNECT to its end.
 *
 * It is ours, since what arrives is acknowledged when it is stored and not before, many at once, and in the order of
 * arrival (docs/decisions/0014). Only QoS 0 and 1: every event may come twice, so exactly-once would buy nothing.
 */

import { isIP } from "node:net";
import { generate, type IConnackPacket, type IPubackPacket, type Packet } from "mqtt-packet";
import { MaestroError } from "../errors.ts";
import type { MqttMessage, ReceivedMessage } from "../wire/mqtt.ts";
import { createAcknowledger } from "./acknowledger.ts";
import { createPacketReader } from "./packet_reader.ts";
import { type ConnectOptions, connectPacket, V5 } from "./packets.ts";
import { encodePubacks, encodePublish } from "./publish_packet.ts";
import { describeReason, isRefusal, NO_MATCHING_SUBSCRIBERS } from "./reasons.ts";
import { GIVEN_UP, openSocket, type SocketOptions } from "./socket.ts";
import { ACKNOWLEDGE_TIMEOUT_MS, createWindow, type Delivery } from "./window.ts";

/** What is asked of a broker besides its address. */
export interface SessionOptions extends SocketOptions, ConnectOptions {
  /** Called for each message; `acknowledge` tells the broker that it need not keep it any longer. */
  receive: (topic: string, message: ReceivedMessage, acknowledge: () => void) => void;
}

export interface Session {
  /** The broker has kept the session of an earlier connection, and all that it was sent meanwhile. */
  readonly isKept: boolean;
  /** The largest packet that the broker takes, in bytes. */
  readonly packetBytesMax: number;
  /** Resolves with the reason once the connection is gone. */
  readonly ended: Promise<string>;
  /** Throws `permission_denied` if the broker refuses a topic. */
  subscribe(topics: readonly string[], qos: 0 | 1): Promise<void>;
  /**
   * Resolves when the broker has the message.
   *
   * Rejects with `unavailable` if the connection ends first or the broker takes too long, with `too_large` if
   * it takes no packets of that size, with `resource_exhausted` if too many wait already.
   */
  publish(topic: string, message: MqttMessage, qos: 0 | 1): Promise<Delivery>;
  /** Publishes that the broker has not acknowledged yet, or that wait for their turn. */
  readonly waiting: number;
  /**
   * Ends the connection in order: publishes under way are waited for, up to a limit. What was not acknowledged
   * stays the broker's.
   */
  end(reason: string): Promise<void>;
}

/** MQTT 5 has no larger packets (§1.5.5). */
const PACKET_BYTES_MAX = 268_435_460;
const SUBSCRIBE_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 5_000;

/**
 * Connects. Rejects within the dial time-out, or when given up by the signal: with the error of the system, or
 * `unavailable` and what the broker says.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const socket = await openSocket(options);
  const ended = Promise.withResolvers<string>();
  const connected = Promise.withResolvers<IConnackPacket>();
  const subscribed = new Map<number, (packet: Packet) => void>();
  let isOver = false;
  let heardAt = performance.now();
  let askedAt: number | undefined;

  const send = (packet: Packet) => socket.write(generate(packet, V5));
  const acknowledger = createAcknowledger((messageIds) => socket.write(encodePubacks(messageIds)));
  // A broker that says nothing at all, for as long as a publish is unanswered, is not merely slow: whatever is handed
  // to it from now on would be lost with the connection.
  const window = createWindow(socket.write, () => {
    const silentMs = performance.now() - heardAt;
    if (silentMs > 0.9 * ACKNOWLEDGE_TIMEOUT_MS) finish(silence(silentMs));
  });

  const finish = (reason: string) => {
    if (isOver) return;
    isOver = true;
    clearInterval(pinging);
    socket.destroy();
    window.close(reason);
    acknowledger.close();
    connected.reject(unavailable(options, reason));
    ended.resolve(reason);
  };
  // Whoever waits for the connection gets the error; afterwards nobody does.
  connected.promise.catch(() => {});

  const taken = (packet: Packet) => {
    if (packet.cmd === "connack") connected.resolve(packet);
    else if (packet.cmd === "puback") window.settle(packet.messageId ?? 0, answerOf(packet));
    else if (packet.cmd === "suback") subscribed.get(packet.messageId ?? 0)?.(packet);
    else if (packet.cmd === "pingresp") askedAt = undefined;
    else if (packet.cmd === "disconnect") {
      finish(
        `the broker says: ${describeReason(packet.reasonCode, packet.properties?.reasonString)}`,
      );
    }
  };
  const read = createPacketReader({
    publish({ topic, messageId, message }) {
      const acknowledge = messageId === undefined ? () => {} : acknowledger.expect(messageId);
      options.receive(topic, message, acknowledge);
    },
    acknowledged: (messageId) => window.settle(messageId, "received"),
    packet: taken,
    failed: (error) => finish(`the broker speaks no MQTT 5: ${error.message}`),
  });
  socket.listen({
    received(bytes) {
      heardAt = performance.now();
      read(bytes);
    },
    closed: finish,
  });

  // Called twice in a keep-alive. A dead connection is noticed within two: a ping leaves after half of one
  // at the latest, and its answer is awaited for one more, give or take the timer's own lateness.
  const watch = (keepAliveMs: number) => {
    const now = performance.now();
    if (now - (askedAt ?? now) > 0.9 * keepAliveMs) {
      return finish(silence(now - heardAt));
    }
    askedAt ??= now;
    send({ cmd: "pingreq" });
  };
  let pinging: Timer | undefined;
  const dialing = setTimeout(
    () => finish(`it did not answer within ${options.dialTimeoutMs} ms`),
    options.dialTimeoutMs,
  );
  const giveUp = () => finish(GIVEN_UP);
  options.signal?.addEventListener("abort", giveUp, { once: true });
  send(connectPacket(options));
  const connack = await connected.promise.finally(() => {
    clearTimeout(dialing);
    options.signal?.removeEventListener("abort", giveUp);
  });
  if (isRefusal(connack.reasonCode)) {
    const reason = describeReason(connack.reasonCode, connack.properties?.reasonString);
    finish(reason);
    throw unavailable(options, reason);
  }
  const { properties = {} } = connack;
  window.open(properties.receiveMaximum);
  const keepAliveMs = (properties.serverKeepAlive ?? options.keepAliveSeconds) * 1000;
  if (keepAliveMs > 0 && !isOver) pinging = setInterval(watch, keepAliveMs / 2, keepAliveMs);
  const packetBytesMax = properties.maximumPacketSize ?? PACKET_BYTES_MAX;

  return {
    isKept: connack.sessionPresent,
    packetBytesMax,
    ended: ended.promise,
    get waiting() {
      return window.waiting;
    },
    async subscribe(topics, qos) {
      const messageId = 1;
      const answer = Promise.withResolvers<Packet>();
      subscribed.set(messageId, answer.resolve);
      const timer = setTimeout(
        () => finish(`it did not answer a subscription within ${SUBSCRIBE_TIMEOUT_MS} ms`),
        SUBSCRIBE_TIMEOUT_MS,
      );
      send({
        cmd: "subscribe",
        messageId,
        subscriptions: topics.map((topic) => ({ topic, qos, nl: false, rap: false, rh: 0 })),
      });
      const packet = await Promise.race([answer.promise, ended.promise]);
      clearTimeout(timer);
      if (typeof packet === "string") throw unavailable(options, packet);
      const granted = packet.cmd === "suback" ? packet.granted as number[] : [];
      topics.forEach((topic, index) => {
        if (!isRefusal(granted[index])) return;
        throw new MaestroError(
          "permission_denied",
          `Cannot subscribe to "${topic}": ${describeReason(granted[index])}`,
        );
      });
    },
    async publish(topic, message, givenQos) {
      const qos = properties.maximumQoS === 0 ? 0 : givenQos;
      const packet = encodePublish(topic, message, qos);
      if (packet.bytes.length > packetBytesMax) {
        throw new MaestroError(
          "too_large",
          `Cannot publish to "${topic}": the packet has ${packet.bytes.length} bytes, and the ` +
            `broker takes at most ${packetBytesMax}`,
        );
      }
      if (isOver) throw unavailable(options, "the connection is gone");
      if (qos === 1) return await window.add(packet);
      socket.write(packet.bytes);
      return "received";
    },
    async end(reason) {
      const timer = setTimeout(finish, END_TIMEOUT_MS, reason);
      await Promise.race([window.idle(), ended.promise]);
      if (!isOver) send({ cmd: "disconnect", reasonCode: 0 });
      await socket.flushed();
      clearTimeout(timer);
      finish(reason);
    },
  };
}

/** What a PUBACK says. */
function answerOf({ reasonCode, properties }: IPubackPacket): Delivery | MaestroError {
  if (reasonCode === NO_MATCHING_SUBSCRIBERS) return "nobody";
  if (!isRefusal(reasonCode)) return "received";
  const reason = describeReason(reasonCode, properties?.reasonString);
  return new MaestroError("permission_denied", `Cannot publish: ${reason}`);
}

function silence(ms: number): string {
  return `nothing was heard from the broker for ${Math.round(ms)} ms`;
}

function unavailable({ host, port }: SessionOptions, reason: string): MaestroError {
  const shown = isIP(host) === 6 ? `[${host}]` : host;
  return new MaestroError("unavailable", `No connection to the broker ${shown}:${port}: ${reason}`);
}
