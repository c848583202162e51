/** Agents that only listen, over gRPC or through an MQTT broker. */

import { createLogger } from "../src/lib/log.ts";
import { openMqttClient } from "../src/lib/mqtt/client.ts";
import { parseMqttConfig } from "../src/lib/mqtt/config.ts";
import type { CloudEvent } from "../src/lib/wire/event.ts";
import { decodeMqtt, encodeMqtt } from "../src/lib/wire/mqtt.ts";
import { agentTopics, sourceTopics } from "../src/lib/wire/topics.ts";
import { subscribe } from "../tests/harness/grpc.ts";
import { brokerFile } from "../tests/mqtt/hub.ts";

export interface Ears extends AsyncDisposable {
  /** Specs that have come, in order. */
  events: CloudEvent[];
  publish(event: CloudEvent): Promise<unknown>;
}

/** Listens for a consumer; resolves when it would hear. */
export type Listen = (consumerName: string) => Promise<Ears>;

/** Listens at the server's gRPC broker. */
export const overGrpc = (port: number): Listen => async (clusterName) =>
  await subscribe(`127.0.0.1:${port}`, { clusterName });

/** Listens at an MQTT broker: as an agent to specs, or as the server to reports. */
export const overMqtt =
  (port: number, side: "agent" | "server" = "agent"): Listen => async (consumerName) => {
    const config = parseMqttConfig(brokerFile(port));
    const topics = side === "agent"
      ? agentTopics(config.topics, consumerName)
      : sourceTopics(config.topics, "maestro");
    const connected = Promise.withResolvers<void>();
    const events: CloudEvent[] = [];
    const client = openMqttClient(config, {
      clientId: crypto.randomUUID(),
      subscriptions: topics.subscriptions,
      sessionExpirySeconds: 0,
      cleanStart: true,
      pauseMaxMs: 100,
      receiveMax: 1_000,
      tlsRefreshMs: 60_000,
      receive(_, message, acknowledge) {
        const event = decodeMqtt(message);
        if (!event.type.endsWith("status.resync_request")) events.push(event);
        acknowledge();
      },
      connecting: () => {},
      connected: () => connected.resolve(),
      disconnected: () => {},
      log: createLogger({ level: "error", isTerminal: false, write: () => {} }),
    });
    await connected.promise;
    return {
      events,
      publish: (event) => client.publish(topics.topicOf(event), encodeMqtt(event)),
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  };
