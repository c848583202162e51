/** Agents that take what they are sent, over either road, and may answer with a status. */

import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import type { ReceivedMessage } from "../../src/lib/wire/mqtt.ts";
import { encodeSubscription } from "../../src/lib/wire/protobuf.ts";
import { createSequence } from "../../src/lib/wire/sequence.ts";
import { idOf, reportStamp, type Road } from "./events.ts";
import { frame, openGrpcClient } from "./grpc_client.ts";
import { openMqttClient } from "./mqtt_client.ts";
import { now, type Outcome, summary } from "./summary.ts";

/** Subscribes as the agents of the consumers, from then on. With `answers`, a status for each spec. */
export interface Agents {
  task: "agents";
  road: Road;
  /** Of the server's broker, or of the MQTT broker. */
  port: number;
  consumers: string[];
  answers: boolean;
}

const nextSequence = createSequence(Date.now);
const received = new Set<string>();
let messageCount = 0;
let lastReceivedAt = 0;

/** Starts them; resolves when all would hear. */
export async function startAgents({ road, port, consumers, answers }: Agents): Promise<Outcome> {
  for (const consumer of consumers) {
    const report = reportStamp(consumer, road);
    const hear = (id: string | undefined) => {
      if (id === undefined) return;
      received.add(id);
      messageCount++;
      lastReceivedAt = now();
      // A report that is lost shows as a status that never comes.
      if (answers) client.publish(report(id, nextSequence())).catch(() => {});
    };
    const client = road === "grpc"
      ? await listenOverGrpc(port, consumer, hear)
      : await openMqttClient(port, {
        topic: `sources/maestro/consumers/${consumer}/sourceevents`,
        hear: (message) => hear(resourceIdOf(message)),
      });
  }
  return summary([], now());
}

async function listenOverGrpc(
  port: number,
  clusterName: string,
  hear: (id: string | undefined) => void,
) {
  const client = await openGrpcClient(port);
  const request = { source: "", clusterName, dataType: MANIFEST_BUNDLES };
  await client.subscribe(frame(encodeSubscription(request)), (message) => hear(idOf(message)));
  return client;
}

function resourceIdOf({ userProperties }: ReceivedMessage): string | undefined {
  return userProperties.find(([name]) => name === "ce-resourceid")?.[1];
}

/** How many different resources they have got, or how many messages, and when the last one came. */
export function receivedSoFar(what: "resources" | "messages" = "resources"): Outcome {
  const count = what === "resources" ? received.size : messageCount;
  return { ...summary([], 0), count, endedAt: lastReceivedAt };
}
