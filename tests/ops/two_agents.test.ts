/** Two agents of one consumer: real processes, a real API server, both roads. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { createConsumer, post, untilApplied } from "../e2e/client.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { type Program, type Server, startAgent, startServer } from "../harness/programs.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { configMap } from "../work/one_agent.ts";

const TIMEOUT_MS = 120_000;
const PATIENCE = { timeoutMs: 30_000, intervalMs: 50 };
/** Short, and in the proportions of the defaults. */
const ELECTION = [
  "--disable-leader-election=false",
  "--leader-election-lease-duration=4s",
  "--leader-election-renew-deadline=3s",
  "--leader-election-retry-period=1s",
];
/** The period is also how long the holder of a claim has to answer. */
const NO_ELECTION = [
  "--disable-leader-election=true",
  "--leader-election-lease-duration=12s",
  "--leader-election-renew-deadline=9s",
  "--leader-election-retry-period=3s",
];

const parts = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "maestro-two-"));
let cluster: Kubernetes;
let server: Server;
let kube: Kube;

beforeAll(async () => {
  [cluster, server] = await Promise.all([
    startKubernetes().then((started) => parts.use(started)),
    startServer({ isFromSource: true }).then((started) => parts.use(started)),
  ]);
  kube = await openKubeconfig(cluster.kubeconfig);
}, TIMEOUT_MS);

afterAll(async () => {
  await parts.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
}, TIMEOUT_MS);

interface Join {
  consumerName: string;
  args: string[];
  until?: string;
  /** Flags that lead to the server; gRPC without them. */
  road?: string[];
}

function joinAs({ consumerName, args, until = "connected", road }: Join): Promise<Program> {
  return startAgent({
    kubeconfig: cluster.kubeconfig,
    ...(road === undefined ? { server: `127.0.0.1:${server.agents}` } : {}),
    ...{ consumerName, until, isFromSource: true, args: [...args, ...road ?? []] },
  });
}

async function newConsumer(): Promise<string> {
  const name = `two-${crypto.randomUUID().slice(0, 8)}`;
  await createConsumer(server, name);
  return name;
}

const isConnected = (agent: Program) => agent.log().includes('"connected"');

async function versionOf(name: string): Promise<unknown> {
  return metadataOf(await kube.get(await refOf(kube, "v1", "ConfigMap", name)))["resourceVersion"];
}

/** A lease of the test's own, so that the tests do not wait for each other. */
function leaseOf(consumerName: string): string[] {
  return [...ELECTION, `--leader-election-resource-name=${consumerName}`];
}

test(
  "W34: of two agents one leads; when it is killed the other goes on, and writes nothing twice",
  async () => {
    const consumerName = await newConsumer();
    const args = leaseOf(consumerName);
    const leader = await joinAs({ consumerName, args });
    await using second = await joinAs({ consumerName, args, until: "standing by" });
    const name = `map-${consumerName}`;
    const id = await post(server, consumerName, configMap(name, { a: "1" }));
    await untilApplied(server, id);
    const version = await versionOf(name);
    expect(isConnected(second)).toBeFalse();

    await leader.kill("SIGKILL");

    await eventually(() => isConnected(second), Boolean, PATIENCE);
    const next = await post(server, consumerName, configMap(`${name}-next`, { a: "1" }));
    await untilApplied(server, next);
    expect(await versionOf(name)).toBe(version);
  },
  TIMEOUT_MS,
);

test("W34: a leader that stops gives its lease to the next one at once", async () => {
  const consumerName = await newConsumer();
  // Nobody would get it by waiting.
  const args = [...leaseOf(consumerName), "--leader-election-lease-duration=1h"];
  const leader = await joinAs({ consumerName, args });
  await using second = await joinAs({ consumerName, args, until: "standing by" });

  expect(await leader.kill("SIGTERM")).toBe(0);

  await eventually(() => isConnected(second), Boolean, PATIENCE);
}, TIMEOUT_MS);

test("W34: a leader that was frozen ends when it wakes, and changes nothing", async () => {
  const consumerName = await newConsumer();
  const args = leaseOf(consumerName);
  await using leader = await joinAs({ consumerName, args });
  const name = `map-${consumerName}`;
  const id = await post(server, consumerName, configMap(name, { a: "1" }));
  await untilApplied(server, id);
  await using second = await joinAs({ consumerName, args, until: "standing by" });

  process.kill(leader.pid, "SIGSTOP");
  await eventually(() => isConnected(second), Boolean, PATIENCE);
  const version = await versionOf(name);
  process.kill(leader.pid, "SIGCONT");

  expect(await leader.exited).toBe(0);
  expect(leader.log()).toContain("another agent may work in this one's place");
  expect(await versionOf(name)).toBe(version);
}, TIMEOUT_MS);

test(
  "M30, W34: without an election the second agent stands by too, and follows when the first is killed",
  async () => {
    const consumerName = await newConsumer();
    const first = await joinAs({ consumerName, args: NO_ELECTION });
    await using second = await joinAs({ consumerName, args: NO_ELECTION, until: "standing by" });
    await using third = await joinAs({ consumerName, args: NO_ELECTION, until: "standing by" });
    // Several questions are answered meanwhile.
    await Bun.sleep(7_000);
    expect([second, third].map(isConnected)).toEqual([false, false]);
    expect(first.isRunning()).toBeTrue();

    await first.kill("SIGKILL");

    await eventually(
      () => [second, third].filter(isConnected).length,
      (count) => count === 1,
      PATIENCE,
    );
    await Bun.sleep(4_000);
    expect([second, third].filter(isConnected)).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test("M30: over MQTT the second agent does not take the first one's session", async () => {
  await using broker = await startMosquitto();
  const file = join(folder, "broker.yaml");
  await Bun.write(file, mqttConfig(broker.port));
  await using hub = await startServer({
    isFromSource: true,
    args: ["--message-broker-type=mqtt", "--message-broker-config-file", file],
  });
  const consumerName = `mqtt-${crypto.randomUUID().slice(0, 8)}`;
  await createConsumer(hub, consumerName);
  const road = ["--workload-source-driver=mqtt", "--workload-source-config", file];

  await using first = await joinAs({ consumerName, args: NO_ELECTION, road });
  const second = await joinAs({ consumerName, args: NO_ELECTION, road, until: "standing by" });
  await Bun.sleep(4_000);

  const id = await post(hub, consumerName, configMap(`map-${consumerName}`, {}));
  await untilApplied(hub, id);
  expect(first.log()).not.toContain('"disconnected"');
  expect(await second.kill("SIGTERM")).toBe(0);
  expect(isConnected(second)).toBeFalse();
}, TIMEOUT_MS);

test("W34: agents of different consumers do not wait for each other", async () => {
  const [one, other] = [await newConsumer(), await newConsumer()];

  await using first = await joinAs({ consumerName: one, args: NO_ELECTION });
  await using second = await joinAs({ consumerName: other, args: NO_ELECTION });

  expect([first, second].map(isConnected)).toEqual([true, true]);
}, TIMEOUT_MS);

function mqttConfig(port: number): string {
  const topic = (side: string) => `sources/maestro/consumers/+/${side}`;
  return [
    `brokerHost: 127.0.0.1:${port}`,
    "topics:",
    `  sourceEvents: ${topic("sourceevents")}`,
    `  agentEvents: ${topic("agentevents")}`,
  ].join("\n");
}
