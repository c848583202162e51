/** A client that publishes what a test tells it to, as an agent of the consumer would. */

import { createLogger } from "../../src/lib/log.ts";
import { openMqttClient } from "../../src/lib/mqtt/client.ts";
import { parseMqttConfig } from "../../src/lib/mqtt/config.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { encodeMqtt } from "../../src/lib/wire/mqtt.ts";
import { agentTopics } from "../../src/lib/wire/topics.ts";
import { brokerFile } from "./hub.ts";

export interface Publisher extends AsyncDisposable {
  /** Resolves when the broker has it. */
  publish(event: CloudEvent): Promise<unknown>;
}

/** Connects, and resolves when there is a connection. */
export async function openPublisher(port: number, consumerName: string): Promise<Publisher> {
  const config = parseMqttConfig(brokerFile(port));
  const topics = agentTopics(config.topics, consumerName);
  const connected = Promise.withResolvers<void>();
  const client = openMqttClient(config, {
    clientId: crypto.randomUUID(),
    subscriptions: [`tests/${consumerName}`],
    sessionExpirySeconds: 0,
    cleanStart: true,
    pauseMaxMs: 100,
    receiveMax: 10,
    tlsRefreshMs: 60_000,
    receive: (_, _message, acknowledge) => acknowledge(),
    connecting: () => {},
    connected: () => connected.resolve(),
    disconnected: () => {},
    log: createLogger({ level: "error", isTerminal: false, write: () => {} }),
  });
  await connected.promise;
  return {
    publish: (event) => client.publish(topics.topicOf(event), encodeMqtt(event)),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
