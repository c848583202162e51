/** A server that does nothing but publish specs to an MQTT broker: what the load generators make of that is their ceiling. */

import { specStamp } from "./events.ts";
import { openMqttClient } from "./mqtt_client.ts";
import { now, type Outcome, pick, summary } from "./summary.ts";

/** Publishes until the time is over, to the consumers in turn. */
export interface Specs {
  task: "specs";
  port: number;
  consumers: string[];
  underWayMax: number;
  durationMs: number;
}

/** Counts what the broker has taken. */
export async function publishSpecs(task: Specs): Promise<Outcome> {
  const client = await openMqttClient(task.port);
  const stamps = task.consumers.map(specStamp);
  const latencies: number[] = [];
  const startedAt = now();
  let sent = 0;
  const loop = async () => {
    while (now() - startedAt < task.durationMs) {
      const [n, sentAt] = [sent++, performance.now()];
      await client.publish(pick(stamps, n)(crypto.randomUUID()));
      latencies.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: task.underWayMax }, loop));
  client.close();
  return summary(latencies, startedAt);
}
