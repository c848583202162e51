/**
 * What the agent needs to apply works: `bun bench/agent.ts [--single 1000] [--mixed 100] [--runs 3] [--qps 100000] [--large 0]`.
 *
 * A real API server without controllers, mosquitto, and the agent as a process of its own; the bench plays the server behind the
 * broker. `--single` works of one ConfigMap and `--mixed` works of ten manifests of ten kinds are sent at once; with `--large` one
 * more work of so many ConfigMaps. Two JSON lines for each run, with a new cluster each time: objects a second from the first event
 * sent to the last work reported as applied; calls by verb and resource from the audit log, those that came later too; CPU time
 * of agent and API server until the last report; and the most memory that the agent ever took. Promised are 400 objects a
 * second and 110 MB.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isObject, type JsonObject, parseJsonObject } from "../src/lib/json.ts";
import type { CloudEvent } from "../src/lib/wire/event.ts";
import { cpuMs } from "../tests/harness/cpu.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { specEvent } from "../tests/harness/events.ts";
import { type Kubernetes, startKubernetes } from "../tests/harness/kubernetes.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { startAgent } from "../tests/harness/programs.ts";
import { brokerFile } from "../tests/mqtt/hub.ts";
import { agentCalls, AUDITED } from "./agent_calls.ts";
import { type Ears, overMqtt } from "./agent_ears.ts";
import { type BenchWork, mixedWork, singleWork } from "./agent_works.ts";
import { printFigure } from "./figure.ts";

const { values } = parseArgs({
  options: {
    single: { type: "string", default: "1000" },
    mixed: { type: "string", default: "100" },
    large: { type: "string", default: "0" },
    runs: { type: "string", default: "3" },
    qps: { type: "string", default: "100000" },
    workers: { type: "string" },
    source: { type: "boolean", default: false },
  },
});

const CONSUMER = "c1";
const RUN_TIMEOUT_MS = 5 * 60_000;
/** Records are kept a little later than works are reported. */
const AFTERMATH_MS = 6_000;

/** What the agent asked of the API server, by verb and resource, the most frequent first. */
function callsOf(kubernetes: Kubernetes): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { verb, objectRef, requestURI } of agentCalls(kubernetes)) {
    const { resource, subresource = "" } = objectRef ?? { resource: requestURI };
    const key = `${verb} ${resource}${subresource ? `/${subresource}` : ""}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a));
}

function isApplied(status: JsonObject): boolean {
  const conditions = Array.isArray(status["conditions"]) ? status["conditions"] : [];
  return ["Applied", "Available"].every((wanted) =>
    conditions.filter(isObject).some(({ type, status }) => type === wanted && status === "True")
  );
}

/** What all processes of the machine have used, to tell a busy machine from a slow agent. */
function machineCpuMs(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "utf8").split(/\s+/);
  const ticks = [user, nice, system, irq, softirq].reduce((sum, text) => sum + Number(text), 0);
  return ticks * 10;
}

/** Sends works, and resolves to the number of reports when all are applied and available. */
async function apply(server: Ears, works: readonly BenchWork[]): Promise<number> {
  const from = server.events.length;
  const waiting = new Set(works.map(({ id }) => id));
  await Promise.all(
    works.map(({ id, data }) =>
      server.publish(specEvent({ id, source: "maestro", consumerName: CONSUMER, version: 1, data }))
    ),
  );
  let seen = from;
  await eventually(
    () => {
      for (; seen < server.events.length; seen++) {
        const { extensions = {}, data = "{}" }: Partial<CloudEvent> = server.events[seen] ?? {};
        if (isApplied(parseJsonObject(data, "status"))) {
          waiting.delete(String(extensions["resourceid"]));
        }
      }
      return waiting.size;
    },
    (left) => left === 0,
    { timeoutMs: RUN_TIMEOUT_MS, intervalMs: 5 },
  );
  return seen - from;
}

async function run(): Promise<void> {
  await using kubernetes = await startKubernetes(AUDITED);
  await using broker = await startMosquitto({
    config: ["max_inflight_messages 1000", "max_queued_messages 100000"],
  });
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "maestro-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(broker.port));
  const server = stack.use(await overMqtt(broker.port, "server")(CONSUMER));
  const agent = stack.use(
    await startAgent({
      kubeconfig: kubernetes.kubeconfig,
      consumerName: CONSUMER,
      isFromSource: values.source,
      args: [
        ...["--workload-source-driver", "mqtt", "--workload-source-config", file],
        ...["--kube-api-qps", values.qps, "--kube-api-burst", values.qps],
        ...["--log-level", "info"],
        ...(values.workers === undefined ? [] : ["--workload-agent-workers", values.workers]),
      ],
    }),
  );
  await eventually(() => server.events.length, (count) => count > 0);
  const api = Number(readFileSync(join(kubernetes.directory, "kube-apiserver.pid"), "utf8"));
  const etcd = Number(readFileSync(join(kubernetes.directory, "etcd.pid"), "utf8"));
  const [single, mixed, large] = [values.single, values.mixed, values.large].map(Number) as [
    number,
    number,
    number,
  ];
  const works = [
    ...Array.from({ length: single }, (_, n) => singleWork(n, 1)),
    ...Array.from({ length: mixed }, (_, n) => mixedWork(n)),
    ...(large > 0 ? [singleWork(single, large)] : []),
  ];
  // A server takes two seconds for the first object of a new definition: that is not the agent's time.
  await apply(server, [singleWork(single + 1, 1)]);
  const cpu = () => ({
    agent: cpuMs(agent.pid),
    api: cpuMs(api),
    etcd: cpuMs(etcd),
    machine: machineCpuMs(),
    bench: process.cpuUsage().user / 1000,
  });
  const idle = memoryOf(agent.pid);
  const before = cpu();
  const startedAt = performance.now();
  const reports = await apply(server, works);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = cpu();
  await Bun.sleep(AFTERMATH_MS);
  const objects = single + 10 * mixed + large;
  const calls = callsOf(kubernetes);
  printFigure({
    bench: "agent",
    promise: "agent-apply",
    what: "objects applied and reported",
    value: objects / seconds,
    unit: "1/s",
    ...{ objects, seconds: Number(seconds.toFixed(2)), reports },
    agent_cpu_ms: after.agent - before.agent,
    api_server_cpu_ms: after.api - before.api,
    etcd_cpu_ms: after.etcd - before.etcd,
    other_cpu_ms: Math.round(
      after.machine - before.machine - (after.agent - before.agent) - (after.api - before.api) -
        (after.etcd - before.etcd) - (after.bench - before.bench),
    ),
    calls_per_object: Number(
      (Object.values(calls).reduce((sum, count) => sum + count, 0) / objects).toFixed(2),
    ),
    calls,
  });
  printFigure({
    bench: "agent",
    promise: "agent-apply-memory",
    what: "memory of the agent meanwhile, at most",
    value: memoryOf(agent.pid).peak,
    unit: "MB",
    idle_mb: Math.round(idle.now),
  });
}

for (let n = 0; n < Number(values.runs); n++) {
  await run();
}
process.exit();
