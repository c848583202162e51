/** Agents that report, and the source that is told: so many reports are under way at most, from one to the other. */

import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeSubscription } from "../../src/lib/wire/protobuf.ts";
import { createSequence } from "../../src/lib/wire/sequence.ts";
import { reportStamp, resourceId, type Road, sequenceOf, SOURCE } from "./events.ts";
import { frame, openGrpcClient } from "./grpc_client.ts";
import { openMqttClient } from "./mqtt_client.ts";
import { now, type Outcome, pick, summary } from "./summary.ts";

/** Reports on the first `resources` in turn, until the time is over. */
export interface FedReports {
  task: "fed_reports";
  road: Road;
  port: number;
  /** The door of sources. */
  sources: number;
  consumers: string[];
  resources: number;
  /** Below what a broker keeps for a slow server, and below `resources`, so that none overtakes another. */
  underWayMax: number;
  durationMs: number;
}

/** The time that a report takes is from sending it to hearing of it. */
export async function fedReports(task: FedReports): Promise<Outcome> {
  const { road, port, consumers, resources, underWayMax, durationMs } = task;
  const sentAt = new Map<string, number>();
  const latencies: number[] = [];
  let room: (() => void) | undefined;
  const source = await openGrpcClient(task.sources);
  const request = { source: SOURCE, clusterName: "", dataType: MANIFEST_BUNDLES };
  await source.subscribe(frame(encodeSubscription(request)), (message) => {
    const sequence = sequenceOf(message) ?? "";
    const began = sentAt.get(sequence);
    if (began === undefined) return;
    sentAt.delete(sequence);
    latencies.push(performance.now() - began);
    room?.();
  });
  const agent = road === "grpc" ? await openGrpcClient(port) : await openMqttClient(port);
  const stamps = consumers.map((name) => reportStamp(name, road));
  const ids = Array.from({ length: resources }, (_, n) => resourceId(n));
  const nextSequence = createSequence(Date.now);
  const startedAt = now();
  let failure: string | undefined;
  for (let n = 0; now() - startedAt < durationMs && failure === undefined; n++) {
    while (sentAt.size >= underWayMax) {
      await new Promise<void>((resolve) => room = resolve);
    }
    const [index, sequence] = [n % ids.length, nextSequence()];
    sentAt.set(sequence, performance.now());
    agent.publish(pick(stamps, index)(pick(ids, index), sequence)).catch((error) => {
      failure = String(error);
      room?.();
    });
    // Sockets are read between the calls.
    if (n % 16 === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  while (sentAt.size > 0 && failure === undefined) {
    await new Promise<void>((resolve) => room = resolve);
  }
  const outcome = { ...summary(latencies, startedAt), ...(failure && { failure }) };
  source.close();
  agent.close();
  return outcome;
}
