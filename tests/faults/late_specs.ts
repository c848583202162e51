/** Records what servers send over a broker, and sends it again later, as brokers and slow servers may. */

import { openMqttClient } from "../../src/lib/mqtt/client.ts";
import { parseMqttConfig } from "../../src/lib/mqtt/config.ts";
import { decodeMqtt, encodeMqtt, type MqttMessage } from "../../src/lib/wire/mqtt.ts";
import { testLogger } from "../harness/postgres.ts";
import { brokerFile } from "../mqtt/hub.ts";
import type { Dice } from "./dice.ts";

export interface LateSpecs extends AsyncDisposable {
  /** Sends again some of what was sent to a consumer. */
  repeat(consumerName: string, dice: Dice): Promise<void>;
}

const TOPICS = "sources/maestro/consumers/+/sourceevents";
const KEPT_MAX = 2_000;
const REPEATED_MAX = 20;
const PUBLISH_TIMEOUT_MS = 2_000;

/** Starts to record. */
export function recordSpecs(port: number): LateSpecs {
  const kept: { topic: string; message: MqttMessage }[] = [];
  const client = openMqttClient(parseMqttConfig(brokerFile(port)), {
    clientId: `recorder-${crypto.randomUUID()}`,
    subscriptions: [TOPICS],
    sessionExpirySeconds: 0,
    cleanStart: true,
    pauseMaxMs: 200,
    receiveMax: 100,
    tlsRefreshMs: 60_000,
    receive(topic, message, acknowledge) {
      if (kept.length < KEPT_MAX) kept.push({ topic, message: encodeMqtt(decodeMqtt(message)) });
      acknowledge();
    },
    connecting: () => {},
    connected: () => {},
    disconnected: () => {},
    log: testLogger(),
  });
  return {
    async repeat(consumerName, dice) {
      const own = kept.filter(({ topic }) => topic.split("/").includes(consumerName));
      for (let count = 0; count < REPEATED_MAX && own.length > 0; count++) {
        const { topic, message } = dice.pick(own);
        const sent = client.publish(topic, message);
        // While the broker is away nothing can come late.
        await Promise.race([sent.catch(() => {}), Bun.sleep(PUBLISH_TIMEOUT_MS)]);
      }
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}
