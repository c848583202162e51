/** What survives when a part of the road dies: the agent, the server, PostgreSQL. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { fastestFolder, testLogger } from "../harness/postgres.ts";
import {
  type Program,
  runMigration,
  sameDoors,
  startAgent,
  startServer,
} from "../harness/programs.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { metadata, newName, openKubeconfig, refOf } from "../kube/objects.ts";
import {
  type Answer,
  call,
  createConsumer,
  type Door,
  PATIENCE,
  post,
  RESOURCES,
  untilApplied,
  untilGone,
  untilInCluster,
} from "./client.ts";

const TIMEOUT_MS = 180_000;
const OUTAGE_MS = 10_000;

let kubernetes: Kubernetes;
let kube: Kube;

beforeAll(async () => {
  kubernetes = await startKubernetes({ pods: true });
  kube = await openKubeconfig(kubernetes.kubeconfig);
}, TIMEOUT_MS);

afterAll(() => kubernetes[Symbol.asyncDispose](), TIMEOUT_MS);

const agentOf = (consumerName: string, port: number): Promise<Program> =>
  startAgent({
    kubeconfig: kubernetes.kubeconfig,
    server: `127.0.0.1:${port}`,
    consumerName,
  });

const configMap = (name: string): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data: { a: "1" },
});

const deployment = (name: string) => ({ ...NGINX, metadata: { name, namespace: "default" } });

const untilConfigMap = (name: string) => untilInCluster(kube, "v1", "ConfigMap", name);

function makeFolder(stack: AsyncDisposableStack): string {
  const folder = mkdtempSync(join(fastestFolder(), "maestro-fault-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test(
  "an agent that is killed before its report reports after a restart, and applies nothing twice",
  async () => {
    await using server = await startServer();
    await using proxy = await startTcpProxy(server.agents);
    const consumer = newName("killed");
    await createConsumer(server, consumer);
    await using first = await agentOf(consumer, proxy.port);
    const early = await post(server, consumer, configMap(newName()));
    await untilApplied(server, early);
    const name = newName("web");

    proxy.mute();
    const id = await post(server, consumer, deployment(name));
    const created = await untilInCluster(kube, "apps/v1", "Deployment", name);
    await first.kill("SIGKILL");
    const silent = await call(server, "GET", `${RESOURCES}/${id}`);
    await using _second = await agentOf(consumer, server.agents);
    await untilApplied(server, id);
    const kept = await untilInCluster(kube, "apps/v1", "Deployment", name);

    expect(silent.body.status).toBeUndefined();
    expect(identity(kept)).toEqual(identity(created));
  },
  TIMEOUT_MS,
);

test(
  "M6: an agent that is killed after deleting and before confirming confirms after a restart",
  async () => {
    await using server = await startServer();
    await using proxy = await startTcpProxy(server.agents);
    const consumer = newName("killed");
    await createConsumer(server, consumer);
    await using first = await agentOf(consumer, proxy.port);
    const name = newName("unwanted");
    const id = await post(server, consumer, configMap(name));
    await untilApplied(server, id);
    await untilConfigMap(name);

    proxy.mute();
    await call(server, "DELETE", `${RESOURCES}/${id}`);
    await untilInCluster(kube, "v1", "ConfigMap", name, (object) => object === undefined);
    await first.kill("SIGKILL");
    const waiting = await call(server, "GET", `${RESOURCES}/${id}`);
    await using _second = await agentOf(consumer, server.agents);
    await untilGone(server, id);

    expect(waiting.status).toBe(200);
    await untilInCluster(kube, "v1", "ConfigMap", name, (object) => object === undefined);
  },
  TIMEOUT_MS,
);

test("an agent may be killed at any moment around an apply", async () => {
  await using server = await startServer();
  const consumer = newName("killed");
  await createConsumer(server, consumer);
  let agent = await agentOf(consumer, server.agents);

  for (const delayMs of [0, 2, 10, 50, 250, 2500]) {
    const name = newName("web");
    const id = await post(server, consumer, deployment(name));
    const ref = await refOf(kube, "apps/v1", "Deployment", name);
    const created = await eventually(() => kube.get(ref), Boolean, { ...PATIENCE, intervalMs: 1 });
    await Bun.sleep(delayMs);
    await agent.kill("SIGKILL");
    agent = await agentOf(consumer, server.agents);
    await untilApplied(server, id);

    expect({ delayMs, ...identity(await kube.get(ref)) })
      .toEqual({ delayMs, ...identity(created) });
  }
  await agent[Symbol.asyncDispose]();
}, TIMEOUT_MS);

test(
  "a server that is killed comes back to an agent that waits, and leaves no PostgreSQL",
  async () => {
    await using stack = new AsyncDisposableStack();
    const stateDirectory = makeFolder(stack);
    const pidFile = join(stateDirectory, "postgres/postmaster.pid");
    const first = stack.use(await startServer({ stateDirectory }));
    const consumer = newName("lost");
    await createConsumer(first, consumer);
    const agent = stack.use(await agentOf(consumer, first.agents));
    const before = newName("before");
    const kept = await post(first, consumer, configMap(before));
    await untilApplied(first, kept);
    const firstPostgres = readPid(pidFile);

    await first.kill("SIGKILL");
    await eventually(() => isGone(firstPostgres), Boolean, PATIENCE);
    const second = stack.use(await startServer({ stateDirectory, args: sameDoors(first) }));
    const after = newName("after");
    const id = await post(second, consumer, configMap(after));
    await untilApplied(second, id);
    const { body } = await untilApplied(second, kept);
    const secondPostgres = readPid(pidFile);
    await second[Symbol.asyncDispose]();

    expect(await untilConfigMap(after)).toBeDefined();
    expect(body.version).toBe(1);
    expect(second.adminToken).toBe(first.adminToken);
    expect(agent.isRunning()).toBeTrue();
    expect(isGone(secondPostgres)).toBeTrue();
  },
  TIMEOUT_MS,
);

test("what is posted and deleted while an agent is away happens when it is back", async () => {
  await using server = await startServer();
  const consumer = newName("away");
  await createConsumer(server, consumer);
  const first = await agentOf(consumer, server.agents);
  const [old, unwanted] = [newName("old"), newName("unwanted")];
  const kept = await post(server, consumer, configMap(old));
  const deleted = await post(server, consumer, configMap(unwanted));
  await untilApplied(server, kept);
  await untilApplied(server, deleted);
  await first.kill("SIGKILL");

  const name = newName("new");
  const id = await post(server, consumer, configMap(name));
  const { status } = await call(server, "DELETE", `${RESOURCES}/${deleted}`);
  const pending = await call(server, "GET", `${RESOURCES}/${deleted}`);
  const untouched = await untilConfigMap(unwanted);
  await using _second = await agentOf(consumer, server.agents);
  await untilApplied(server, id);
  await untilGone(server, deleted);

  expect(status).toBe(204);
  expect(pending.status).toBe(200);
  expect(untouched).toBeDefined();
  await untilInCluster(kube, "v1", "ConfigMap", unwanted, (object) => object === undefined);
  expect(await untilConfigMap(old)).toBeDefined();
  expect(await untilConfigMap(name)).toBeDefined();
}, TIMEOUT_MS);

test("ten seconds without PostgreSQL lose nothing that was accepted", async () => {
  await using stack = new AsyncDisposableStack();
  const stateDirectory = makeFolder(stack);
  const startPostgres = () =>
    startEmbeddedPostgres({ stateDirectory, log: testLogger(), searchFrom: [] });
  const first = stack.use(await startPostgres());
  await runMigration(first.url);
  const server = stack.use(await startServer({ databaseUrl: first.url }));
  const consumer = newName("outage");
  await createConsumer(server, consumer);
  const agent = stack.use(await agentOf(consumer, server.agents));
  const sender = startPosting(server, consumer);
  await eventually(() => sender.accepted.size, (count) => count > 5, PATIENCE);

  await first[Symbol.asyncDispose]();
  await Bun.sleep(OUTAGE_MS);
  stack.use(await startPostgres());
  const before = sender.accepted.size;
  await eventually(() => sender.accepted.size, (count) => count > before + 5, PATIENCE);
  const refused = await sender.stop();

  expect(refused.length).toBeGreaterThan(0);
  expect(refused.filter(({ status }) => status !== 503)).toEqual([]);
  for (const [name, id] of sender.accepted) {
    await untilApplied(server, id);
    expect(await untilConfigMap(name)).toBeDefined();
  }
  expect(server.isRunning()).toBeTrue();
  expect(agent.isRunning()).toBeTrue();
}, TIMEOUT_MS);

/** Posts ConfigMaps, four at once, until told to stop. */
function startPosting(server: Door, consumer: string) {
  const accepted = new Map<string, string>();
  const refused: Answer[] = [];
  let isOver = false;
  const senders = [1, 2, 3, 4].map(async () => {
    while (!isOver) {
      const name = newName("sent");
      const answer = await call(server, "POST", RESOURCES, {
        consumer_name: consumer,
        manifest: configMap(name),
      });
      if (answer.status === 201) accepted.set(name, answer.body.id);
      else refused.push(answer);
      await Bun.sleep(200);
    }
  });
  return {
    accepted,
    async stop(): Promise<Answer[]> {
      isOver = true;
      await Promise.all(senders);
      return refused;
    },
  };
}

/** What changes if an object is made again, or written again. */
function identity(object: JsonObject | undefined): object {
  const { uid, generation, creationTimestamp } = metadata(object);
  return { uid, generation, creationTimestamp };
}

function readPid(file: string): number {
  return Number(readFileSync(file, "utf8").split("\n")[0]);
}

function isGone(pid: number): boolean {
  if (process.platform === "linux") return !existsSync(`/proc/${pid}`);
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}
