/**
 * What the agent costs while nothing happens, and how fast it sets right what others change:
 * `bun bench/agent_quiet.ts [--works 1000] [--seconds 600] [--foreign 10000] [--drifts 200] [--source]`.
 *
 * A real API server without controllers, mosquitto, and the agent as a process of its own; the bench plays the server behind the
 * broker. A tenth of the works are of ten manifests of ten kinds, the others of one ConfigMap, all in one namespace. Calls are
 * counted in the audit log. Promised are no write and at most one read a second while nothing happens; no write and at most
 * two messages for a restart; 10 MB at most for objects of others; and 5 s until a change is set right, for 99 of 100.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseJsonObject } from "../src/lib/json.ts";
import { ACTION } from "../src/lib/wire/event_type.ts";
import type { ObjectRef } from "../src/lib/work/kube_api.ts";
import { metadataOf, textOf } from "../src/lib/work/work.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { specEvent } from "../tests/harness/events.ts";
import { type Kubernetes, startKubernetes } from "../tests/harness/kubernetes.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { type Program, startAgent } from "../tests/harness/programs.ts";
import { openKubeconfig, refOf, WRITER } from "../tests/kube/objects.ts";
import { rollDice } from "../tests/faults/dice.ts";
import { brokerFile } from "../tests/mqtt/hub.ts";
import { agentCalls, AUDITED } from "./agent_calls.ts";
import { type Ears, overMqtt } from "./agent_ears.ts";
import { type BenchWork, mixedWork, singleWork } from "./agent_works.ts";
import { printFigure, quantile } from "./figure.ts";

const { values } = parseArgs({
  options: {
    works: { type: "string", default: "1000" },
    seconds: { type: "string", default: "600" },
    foreign: { type: "string", default: "10000" },
    drifts: { type: "string", default: "200" },
    source: { type: "boolean", default: false },
  },
});

const CONSUMER = "c1";
const NAMESPACE = "default";
const SETUP_TIMEOUT_MS = 10 * 60_000;
/** Records are kept, and reports sent, a little later than works are applied. */
const SETTLED_MS = 10_000;
/** Between two changes by others. */
const DRIFT_PAUSE_MS = 50;
const WRITERS = 16;
const SEED = 1;

const WRITES = new Set(["create", "update", "patch", "delete", "deletecollection"]);

interface Calls {
  writes: number;
  /** Watches that begin again are none: they are counted by themselves. */
  reads: number;
  watches: number;
  /** All of them by verb and resource. */
  by: Record<string, number>;
}

/** What the agent asked of the API server so far. */
function callsOf(kubernetes: Kubernetes): Calls {
  const calls: Calls = { writes: 0, reads: 0, watches: 0, by: {} };
  for (const { verb, objectRef } of agentCalls(kubernetes)) {
    // The lease is a sign of life, as it is with every controller; a review asks for rights, and stores nothing.
    const resource = String(objectRef?.resource);
    if (/^leases$|reviews$/.test(resource)) continue;
    const key = `${verb} ${resource}`;
    calls.by[key] = (calls.by[key] ?? 0) + 1;
    if (WRITES.has(verb)) calls.writes++;
    else if (verb === "watch") calls.watches++;
    else calls.reads++;
  }
  return calls;
}

function since(before: Calls, after: Calls): Calls {
  return {
    writes: after.writes - before.writes,
    reads: after.reads - before.reads,
    watches: after.watches - before.watches,
    by: Object.fromEntries(
      Object.entries(after.by)
        .map(([key, count]) => [key, count - (before.by[key] ?? 0)] as const)
        .filter(([, count]) => count > 0),
    ),
  };
}

await using kubernetes = await startKubernetes(AUDITED);
await using broker = await startMosquitto({
  config: ["max_inflight_messages 1000", "max_queued_messages 100000"],
});
await using server = await overMqtt(broker.port, "server")(CONSUMER);
const kube = await openKubeconfig(kubernetes.kubeconfig);
await using stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "maestro-bench-"));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "broker.yaml");
writeFileSync(file, brokerFile(broker.port));

const count = Number(values.works);
const mixed = Math.floor(count / 10);
const works: BenchWork[] = [
  ...Array.from({ length: count - mixed }, (_, n) => singleWork(n, 1)),
  ...Array.from({ length: mixed }, (_, n) => mixedWork(n)),
];

async function open(): Promise<Program> {
  return await startAgent({
    kubeconfig: kubernetes.kubeconfig,
    consumerName: CONSUMER,
    isFromSource: values.source,
    args: [
      ...["--workload-source-driver", "mqtt", "--workload-source-config", file],
      ...["--kube-api-qps", "10000", "--kube-api-burst", "10000", "--log-level", "info"],
    ],
  });
}

/** Sends all works, as the server does to an agent that has asked for what it lacks. */
async function tell(action: string): Promise<void> {
  await Promise.all(works.map(({ id, data }) => {
    const event = specEvent({ id, source: "maestro", consumerName: CONSUMER, version: 1, data });
    const type = event.type.replace(/[^.]+$/, action);
    return server.publish({ ...event, type });
  }));
}

/** Starts an agent where one was before, and returns it with what it has said and asked until it is quiet again. */
async function restart(agent: Program): Promise<{ agent: Program; calls: Calls; said: number }> {
  await agent[Symbol.asyncDispose]();
  const [before, heard] = [callsOf(kubernetes), server.events.length];
  const next = await open();
  await eventually(() => hasAsked(server, heard), Boolean, { timeoutMs: SETUP_TIMEOUT_MS });
  await tell(ACTION.resyncResponse);
  await Bun.sleep(2 * SETTLED_MS);
  const calls = since(before, callsOf(kubernetes));
  return { agent: next, calls, said: server.events.length - heard };
}

function hasAsked({ events }: Ears, from: number): boolean {
  return events.slice(from).some(({ type }) => type.endsWith("spec.resync_request"));
}

async function makeForeign(total: number): Promise<void> {
  const ref = await refOf(kube, "v1", "ConfigMap", "");
  const secret = await refOf(kube, "v1", "Secret", "");
  let made = 0;
  await Promise.all(Array.from({ length: WRITERS }, async () => {
    while (made < total) {
      const name = `foreign-${made}`;
      const place = made++ % 2 === 0 ? ref : secret;
      const content = { value: "eHh4".repeat(100) };
      const { kind } = place.type;
      const object = { apiVersion: "v1", kind, metadata: { name }, data: content };
      await kube.create({ ...place, name }, object, WRITER);
    }
  }));
}

/** Changes and deletes as others do, and returns how long each was to be seen, in milliseconds. */
async function drift(total: number): Promise<number[]> {
  const dice = rollDice(SEED);
  const { type } = await refOf(kube, "v1", "ConfigMap");
  const begun = new Map<string, { atMs: number; not: string }>();
  const took: number[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const event of kube.watch(type, NAMESPACE, { signal: stop.signal })) {
      const name = textOf(metadataOf(event.object), "name");
      const waiting = begun.get(name);
      const { data } = event.object as { data?: { value?: string } };
      const isRight = ["ADDED", "MODIFIED"].includes(event.type) && data?.value?.startsWith("xxx");
      if (waiting === undefined || !isRight) continue;
      const version = textOf(metadataOf(event.object), "resourceVersion");
      // The object as it was when the watch began, or before the change.
      if (BigInt(version) <= BigInt(waiting.not)) continue;
      begun.delete(name);
      took.push(performance.now() - waiting.atMs);
    }
  })();
  const names = new Set<string>();
  while (names.size < total) names.add(`single-${dice.between(0, count - mixed - 1)}-0`);
  for (const name of names) {
    const ref: ObjectRef = { type, namespace: NAMESPACE, name };
    const live = metadataOf(await kube.get(ref));
    begun.set(name, { atMs: performance.now(), not: textOf(live, "resourceVersion") });
    if (dice.happens(0.5)) {
      await kube.delete(ref, { uid: textOf(live, "uid"), propagationPolicy: "Background" });
    } else await kube.patch(ref, { data: { value: "theirs" } }, { ...WRITER, type: "merge" });
    await Bun.sleep(DRIFT_PAUSE_MS);
  }
  await eventually(() => begun.size, (left) => left === 0, { timeoutMs: 60_000 });
  stop.abort();
  await watching;
  return took;
}

function isApplied(data = "{}"): boolean {
  const { conditions } = parseJsonObject(data, "status") as {
    conditions?: { type: string; status: string }[];
  };
  return ["Applied", "Available"].every((wanted) =>
    conditions?.some(({ type, status }) => type === wanted && status === "True")
  );
}

let agent = await open();
await eventually(() => server.events.length, (heard) => heard > 0);
await tell(ACTION.create);
await eventually(
  () => {
    const done = server.events.filter(({ data }) => isApplied(data));
    return new Set(done.map(({ extensions }) => extensions["resourceid"])).size;
  },
  (done) => done === works.length,
  { timeoutMs: SETUP_TIMEOUT_MS, intervalMs: 500 },
);
await Bun.sleep(SETTLED_MS);

const seconds = Number(values.seconds);
const [before, heard] = [callsOf(kubernetes), server.events.length];
await Bun.sleep(seconds * 1000);
const quiet = since(before, callsOf(kubernetes));
const base = { bench: "agent_quiet", works: works.length, objects: count - mixed + 10 * mixed };
printFigure({
  ...base,
  promise: "quiet-writes",
  what: "writes while nothing happens",
  value: quiet.writes,
  unit: "writes",
  seconds,
  reports: server.events.length - heard,
});
printFigure({
  ...base,
  promise: "quiet-reads",
  what: "reads while nothing happens",
  value: quiet.reads / seconds,
  unit: "1/s",
  watches_begun: quiet.watches,
  agent_mb: Math.round(memoryOf(agent.pid).now),
});

const again = await restart(agent);
agent = again.agent;
printFigure({
  ...base,
  promise: "quiet-restart-writes",
  what: "writes after a restart",
  value: again.calls.writes,
  unit: "writes",
  calls: again.calls.by,
});
printFigure({
  ...base,
  promise: "quiet-restart",
  what: "messages to the server after a restart",
  value: again.said,
  unit: "messages",
  reads: again.calls.reads,
});
const alone = memoryOf(agent.pid);

const foreign = Number(values.foreign);
await makeForeign(foreign);
await Bun.sleep(SETTLED_MS);
const beside = memoryOf(agent.pid);
const third = await restart(agent);
agent = third.agent;
const among = memoryOf(agent.pid);
printFigure({
  ...base,
  promise: "quiet-foreign",
  what: "memory that objects of others cost an agent that starts among them",
  value: among.now - alone.now,
  unit: "MB",
  foreign,
  alone_mb: Math.round(alone.now),
  alone_peak_mb: Math.round(alone.peak),
  came_later_mb: Math.round(beside.now),
  among_them_mb: Math.round(among.now),
  among_them_peak_mb: Math.round(among.peak),
});

const took = await drift(Number(values.drifts));
printFigure({
  ...base,
  promise: "quiet-heal-p99",
  what: "time until a change by others is set right, p99",
  value: quantile(took, 0.99),
  unit: "ms",
  n: took.length,
  p50_ms: Math.round(quantile(took, 0.5)),
  max_ms: Math.round(Math.max(...took)),
});
await agent[Symbol.asyncDispose]();
