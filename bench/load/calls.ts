/** Callers in a closed loop: each has one call under way, and all share one connection, as a client does. */

import { createSequence } from "../../src/lib/wire/sequence.ts";
import { createStamp, reportStamp, resourceId } from "./events.ts";
import { openGrpcClient } from "./grpc_client.ts";
import { now, type Outcome, pick, summary } from "./summary.ts";

interface Loop {
  port: number;
  consumers: string[];
  callers: number;
  /** The end: by time, or when so many calls were made. */
  durationMs: number;
  count?: number;
}

/** Callers that create one resource after the other. */
export type Creates = Loop & { task: "create"; specBytes?: number };

/** Agents that report on the first `resources`, round and round, over gRPC: an answer means stored. */
export type Reports = Loop & { task: "report"; resources: number };

/** Creates until the time is over. */
export async function create(task: Creates): Promise<Outcome> {
  const stamps = task.consumers.map((name) => createStamp(name, task.specBytes));
  return await call(task, (n) => pick(stamps, n)(crypto.randomUUID()));
}

/** Reports until the time is over. */
export async function report(task: Reports): Promise<Outcome> {
  const nextSequence = createSequence(Date.now);
  const stamps = task.consumers.map((name) => reportStamp(name));
  const ids = Array.from({ length: task.resources }, (_, n) => resourceId(n));
  return await call(task, (n) => {
    const index = n % ids.length;
    return pick(stamps, index)(pick(ids, index), nextSequence());
  });
}

async function call(
  { port, callers, durationMs, count = Infinity }: Loop,
  message: (n: number) => Uint8Array,
): Promise<Outcome> {
  const client = await openGrpcClient(port);
  const latencies: number[] = [];
  const startedAt = now();
  let started = 0;
  let failure: string | undefined;
  const loop = async () => {
    while (failure === undefined && now() - startedAt < durationMs && started < count) {
      const sentAt = performance.now();
      await client.publish(message(started++));
      latencies.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: callers }, loop)).catch((error) => {
    failure = String(error);
  });
  const outcome = { ...summary(latencies, startedAt), ...(failure && { failure }) };
  client.close();
  return outcome;
}
