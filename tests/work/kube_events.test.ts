/** What the agent tells in Kubernetes Events, on a real API server. */

import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { JsonObject } from "../../src/lib/json.ts";
import { createAgentMetrics } from "../../src/lib/ops/agent_metrics.ts";
import { createWitness } from "../../src/lib/ops/agent_witness.ts";
import { createEventTeller } from "../../src/lib/work/kube_events.ts";
import type { Kube, KubeCall } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { testLogger } from "../harness/postgres.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

const MINUTE_MS = 60_000;

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
/** Added to the agent's clock. */
let laterMs = 0;
const nowMs = () => Date.now() + laterMs;
const calls: KubeCall[] = [];
const own = await openKubeconfig(cluster.kubeconfig, { observe: (call) => calls.push(call) });
const teller = createEventTeller(own, { instance: "test", nowMs, log: testLogger() });
const metrics = createAgentMetrics(() => []);
const agent = await startAgent(kube, { nowMs, witness: createWitness(metrics, teller) });

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await teller[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

/** The Events that regard an object of this name, the oldest first. */
async function eventsOf(name: string, namespace = "default"): Promise<JsonObject[]> {
  const { type } = await refOf(kube, "events.k8s.io/v1", "Event", "any");
  const { items } = await kube.list(type, namespace);
  return items.filter(({ regarding }) => (regarding as JsonObject)["name"] === name)
    .toSorted((a, b) => String(a["eventTime"]).localeCompare(String(b["eventTime"])));
}

async function entryName(uid: string): Promise<string> {
  return (await ledgerRef(kube, uid)).name;
}

test("W33: a manifest that fails is one Event of the work, however often it is tried, and one more ends it", async () => {
  const uid = crypto.randomUUID();
  const namespace = `late-${uid.slice(0, 8)}`;
  const spec = (data: Record<string, string>) => ({
    manifests: [configMap("first", data, namespace)],
  });
  await agent.send(uid, 1, spec({}));
  await agent.until(uid, (report) => conditionOf(report, "Applied", 0)?.status === "False");
  await agent.send(uid, 2, spec({ a: "1" }));
  await agent.until(
    uid,
    (report) => conditionOf(report, "Applied", 0)?.status === "False" && report.version === 2,
  );

  const [event, ...more] = await eventually(
    async () => await eventsOf(await entryName(uid)),
    ({ length }) => length > 0,
  );

  expect(more).toEqual([]);
  expect(event).toMatchObject({
    ...{ type: "Warning", reason: "AppliedManifestFailed", action: "Apply" },
    ...{ reportingController: "maestro.io/agent", reportingInstance: "test" },
    note: `Failed to apply manifest: namespaces "${namespace}" not found`,
    regarding: { kind: "AppliedManifestWork", apiVersion: "work.open-cluster-management.io/v1" },
  });
  await kube.create(
    await refOf(kube, "v1", "Namespace", namespace),
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    WRITER,
  );
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  const [recovered] = await eventually(
    () => eventsOf("first", namespace),
    ({ length }) => length === 1,
  );
  expect(recovered).toMatchObject({ type: "Normal", reason: "Recovered" });
  expect(recovered?.["note"]).toMatch(/^Applied after \d+ failures$/);
});

test("W33: an object that is there is what its Event regards, and a failure that lasts is counted", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `conflict-${uid}`);
  const theirs = await kube.patch(ref, { ...configMap(ref.name, { a: "theirs" }) }, {
    ...{ type: "apply", fieldManager: "other" },
  });
  const identifier = { group: "", resource: "configmaps", name: ref.name, namespace: "default" };
  const send = (version: number) =>
    agent.send(uid, version, {
      manifests: [configMap(ref.name, { a: "ours" })],
      manifestConfigs: [{
        resourceIdentifier: identifier,
        updateStrategy: { type: "ServerSideApply" },
      }],
    });
  await send(1);

  const [event] = await eventually(() => eventsOf(ref.name), ({ length }) => length === 1);

  expect(event?.["regarding"]).toEqual({
    ...{ apiVersion: "v1", kind: "ConfigMap", name: ref.name, namespace: "default" },
    uid: metadataOf(theirs)["uid"] as string,
  });
  laterMs += 11 * MINUTE_MS;
  await send(2);
  const counted = await eventually(
    () => eventsOf(ref.name),
    ([again]) => again?.["series"] !== undefined,
  );
  expect(counted).toHaveLength(1);
  expect(Number((counted[0]?.["series"] as JsonObject)["count"])).toBeGreaterThan(1);
});

test("W33: while all is well nothing is written; drift that was healed is told once", async () => {
  const uid = crypto.randomUUID();
  const name = `drift-${uid}`;
  const before = calls.length;
  await agent.send(uid, 1, { manifests: [configMap(name, { a: "1" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(calls.length).toBe(before);
  const ref = await refOf(kube, "v1", "ConfigMap", name);
  const isHealed = async () => (await kube.get(ref))?.["data"];

  for (let round = 1; round <= 2; round++) {
    await kube.patch(ref, { data: { a: "drifted" } }, { ...WRITER, type: "merge" });
    await eventually(isHealed, (found) => (found as JsonObject)["a"] === "1");
  }

  const events = await eventually(() => eventsOf(name), ({ length }) => length > 0);
  expect(events.map(({ reason, type }) => [reason, type])).toEqual([["DriftFound", "Normal"]]);
  expect(metrics.text()).toMatch(/maestro_agent_drifts_healed_total [1-9]/);
});

test(
  "W16, W33: a deletion that an object's finalizer holds up is told, with its name",
  async () => {
    const uid = crypto.randomUUID();
    const name = `stuck-${uid}`;
    const held = { ...configMap(name, {}) };
    await agent.send(uid, 1, {
      manifests: [{ ...held, metadata: { ...held.metadata, finalizers: ["test.io/hold"] } }],
    });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
    await agent.delete(uid, 1);
    await agent.until(uid, (report) => conditionOf(report, "Deleting") !== undefined);

    laterMs += 2 * MINUTE_MS;

    const events = await eventually(
      async () => await eventsOf(await entryName(uid)),
      ({ length }) => length > 0,
      { timeoutMs: 20_000 },
    );
    expect(events[0]).toMatchObject({ type: "Warning", reason: "DeletionStuck" });
    expect(events[0]?.["note"]).toContain(`configmaps default/${name} (finalizers: test.io/hold)`);
    const ref = await refOf(kube, "v1", "ConfigMap", name);
    await kube.patch(ref, { metadata: { finalizers: null } }, { ...WRITER, type: "merge" });
    await agent.until(uid, (report) => isTrue(report, "Deleted"));
  },
  30_000,
);

/** A teller that is told of a new failure as often as wanted. */
function fails(by: Kube) {
  const told = createEventTeller(by, { instance: "test", nowMs: () => 0, log: testLogger() });
  const entry = { name: crypto.randomUUID(), uid: "u" } as Parameters<typeof told.turned>[0];
  const fail = (ordinal: number) => {
    const meta = {
      ordinal,
      group: "",
      version: "v1",
      kind: "X",
      resource: "",
      name: "",
      namespace: "",
    };
    const slot = { meta, conditions: [], values: [], isDrifted: false, isKnown: false };
    told.turned(entry, slot, { isApplied: false });
  };
  return { told, fail, entry };
}

test("W33: many failures at once are no flood of Events", async () => {
  const { told, fail, entry } = fails(kube);

  for (let ordinal = 0; ordinal < 500; ordinal++) fail(ordinal);

  await eventually(() => eventsOf(entry.name), ({ length }) => length === 25);
  await told[Symbol.asyncDispose]();
  expect(await eventsOf(entry.name)).toHaveLength(25);
});

test("W33: where Events may not be written they are not tried again and again", async () => {
  const tried: KubeCall[] = [];
  const limited = await openKubeconfig(join(cluster.directory, "kubeconfig-limited"), {
    observe: (call) => tried.push(call),
  });
  const { told, fail } = fails(limited);

  for (let ordinal = 0; ordinal < 20; ordinal++) fail(ordinal);

  await eventually(() => tried.length, (count) => count > 0);
  await Bun.sleep(100);
  fail(21);
  await told[Symbol.asyncDispose]();
  expect(tried.map(({ code }) => code)).toEqual([403]);
});
