/** A source that creates and waits for the first status: at a steady pace, or many at once. */

import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeSubscription } from "../../src/lib/wire/protobuf.ts";
import { createStamp, idOf, SOURCE } from "./events.ts";
import { frame, openGrpcClient } from "./grpc_client.ts";
import { now, type Outcome, pick, summary } from "./summary.ts";

/** One at a time at this pace, or with `burst` that many at once, each burst when the last one is over. */
export interface RoundTrips {
  task: "round_trip";
  port: number;
  consumers: string[];
  perSecond: number;
  burst?: number;
  durationMs: number;
}

const STATUS_TIMEOUT_MS = 10_000;

/** Measures from the call that creates to the first status on the source's stream. */
export async function roundTrips(task: RoundTrips): Promise<Outcome> {
  const client = await openGrpcClient(task.port);
  const waiting = new Map<string, (at: number) => void>();
  const request = { source: SOURCE, clusterName: "", dataType: MANIFEST_BUNDLES };
  await client.subscribe(frame(encodeSubscription(request)), (message) => {
    const id = idOf(message);
    if (id !== undefined) waiting.get(id)?.(performance.now());
  });
  const stamps = task.consumers.map((name) => createStamp(name));
  const one = async (n: number) => {
    const id = crypto.randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    waiting.set(id, resolve);
    const timer = setTimeout(reject, STATUS_TIMEOUT_MS, new Error("no status came"));
    const sentAt = performance.now();
    await client.publish(pick(stamps, n)(id));
    const latency = await promise - sentAt;
    clearTimeout(timer);
    waiting.delete(id);
    return latency;
  };
  const startedAt = now();
  const latencies = task.burst === undefined
    ? await atPace(task, startedAt, one)
    : await inBursts(task.burst, startedAt + task.durationMs, one);
  const outcome = summary(latencies, startedAt);
  client.close();
  return outcome;
}

async function atPace(
  { perSecond, durationMs }: RoundTrips,
  startedAt: number,
  one: (n: number) => Promise<number>,
): Promise<number[]> {
  const all: Promise<number>[] = [];
  for (let n = 0; n < perSecond * durationMs / 1000; n++) {
    all.push(one(n));
    await Bun.sleep(startedAt + (n + 1) * 1000 / perSecond - now());
  }
  return await Promise.all(all);
}

async function inBursts(
  size: number,
  until: number,
  one: (n: number) => Promise<number>,
): Promise<number[]> {
  const all: number[] = [];
  while (now() < until) {
    // All of a burst are for one consumer.
    const burst = all.length / size;
    all.push(...await Promise.all(Array.from({ length: size }, () => one(burst))));
  }
  return all;
}
