/** A load generator: a child process that the bench tells what to do, and that says how it went. */

import { MANIFEST_BUNDLES } from "../src/lib/wire/event.ts";
import { encodeSubscription } from "../src/lib/wire/protobuf.ts";
import { createSequence } from "../src/lib/wire/sequence.ts";
import { createStamp, idOf, reportStamp, resourceId, SOURCE, type Stamp } from "./events.ts";
import { frame, type GrpcClient, openGrpcClient } from "./grpc_client.ts";

/** What a load generator can be told. Times are milliseconds, and the same clock in every process. */
export type Task =
  /** Callers that create one resource after the other. */
  | { task: "create"; port: number; consumers: string[]; callers: number; durationMs: number }
  /** Callers that report on the first `resources`, round and round. */
  | {
    task: "report";
    port: number;
    consumers: string[];
    resources: number;
    callers: number;
    durationMs: number;
  }
  /** Subscribes as the agents of the consumers, from then on. With `answers`, a status for each spec. */
  | { task: "agents"; port: number; consumers: string[]; answers: boolean }
  /** How many different resources the agents have got, and when the last one came. */
  | { task: "received" }
  /** Creates at a steady pace; measures until the first status is there. */
  | {
    task: "round_trip";
    port: number;
    consumers: string[];
    perSecond: number;
    durationMs: number;
  };

/** How it went. */
export interface Outcome {
  count: number;
  startedAt: number;
  endedAt: number;
  p50Ms: number;
  p99Ms: number;
  /** What the load generator itself has used. */
  cpuMs: number;
  /** The first failure; there must be none. */
  failure?: string;
}

const STATUS_TIMEOUT_MS = 10_000;
const nextSequence = createSequence(Date.now);
const received = new Set<string>();
let lastReceivedAt = 0;

const now = () => performance.timeOrigin + performance.now();

async function run(task: Task): Promise<Outcome> {
  switch (task.task) {
    case "create": {
      const stamps = task.consumers.map(createStamp);
      return await call(task, (n) => pick(stamps, n)(crypto.randomUUID()));
    }
    case "report": {
      const stamps = task.consumers.map(reportStamp);
      const ids = Array.from({ length: task.resources }, (_, n) => resourceId(n));
      return await call(task, (n) => {
        const index = n % ids.length;
        return pick(stamps, index)(pick(ids, index), nextSequence());
      });
    }
    case "agents":
      for (const consumer of task.consumers) await startAgent(task.port, consumer, task.answers);
      return summary([], now());
    case "received":
      return { ...summary([], 0), count: received.size, endedAt: lastReceivedAt };
    case "round_trip":
      return await roundTrip(task);
  }
}

/** A closed loop: each caller has one call under way. All share one connection, as a client does. */
async function call(
  { port, callers, durationMs }: { port: number; callers: number; durationMs: number },
  message: (n: number) => Uint8Array,
): Promise<Outcome> {
  const client = await openGrpcClient(port);
  const latencies: number[] = [];
  const startedAt = now();
  let started = 0;
  let failure: string | undefined;
  const loop = async () => {
    while (failure === undefined && now() - startedAt < durationMs) {
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

async function startAgent(port: number, consumer: string, answers: boolean): Promise<void> {
  const client = await openGrpcClient(port);
  const report = reportStamp(consumer);
  const request = { source: "", clusterName: consumer, dataType: MANIFEST_BUNDLES };
  await client.subscribe(frame(encodeSubscription(request)), (message) => {
    const id = idOf(message);
    if (id === undefined) return;
    received.add(id);
    lastReceivedAt = now();
    if (answers) answer(client, report, id);
  });
}

function answer(client: GrpcClient, report: Stamp, id: string): void {
  // A report that is lost shows as a status that never comes.
  client.publish(report(id, nextSequence())).catch(() => {});
}

async function roundTrip(task: Task & { task: "round_trip" }): Promise<Outcome> {
  const client = await openGrpcClient(task.port);
  const waiting = new Map<string, (at: number) => void>();
  const request = { source: SOURCE, clusterName: "", dataType: MANIFEST_BUNDLES };
  await client.subscribe(frame(encodeSubscription(request)), (message) => {
    const id = idOf(message);
    if (id !== undefined) waiting.get(id)?.(performance.now());
  });
  const stamps = task.consumers.map(createStamp);
  const startedAt = now();
  const one = async (n: number) => {
    const id = crypto.randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    waiting.set(id, resolve);
    const timer = setTimeout(reject, STATUS_TIMEOUT_MS, new Error("no status came"));
    const sentAt = performance.now();
    await client.publish(pick(stamps, n)(id));
    const latency = await promise - sentAt;
    clearTimeout(timer);
    return latency;
  };
  const all: Promise<number>[] = [];
  for (let n = 0; n < task.perSecond * task.durationMs / 1000; n++) {
    all.push(one(n));
    await Bun.sleep(startedAt + (n + 1) * 1000 / task.perSecond - now());
  }
  const outcome = await Promise.all(all).then(
    (latencies) => summary(latencies, startedAt),
    (error) => failed(error, startedAt),
  );
  client.close();
  return outcome;
}

function summary(latencies: number[], startedAt: number): Outcome {
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return {
    count: sorted.length,
    startedAt,
    endedAt: now(),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMs: 0,
  };
}

function failed(error: unknown, startedAt: number): Outcome {
  return { ...summary([], startedAt), failure: String(error) };
}

function pick<T>(list: readonly T[], n: number): T {
  return list[n % list.length] as T;
}

if (import.meta.main) {
  // It ends with the bench, however that ends.
  process.on("disconnect", () => process.exit());
  process.on("message", async (task: Task) => {
    const before = process.cpuUsage();
    const outcome = await run(task).catch((error) => failed(error, 0));
    const { user, system } = process.cpuUsage(before);
    process.send?.({ ...outcome, cpuMs: (user + system) / 1000 });
  });
  process.send?.("ready");
}
