/** What a deletion waits for, and what it must not forget meanwhile: on a real API server. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { installLedgerType } from "../../src/lib/work/crd.ts";
import { createDeletions } from "../../src/lib/work/deletion.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { openLedger } from "../../src/lib/work/ledger.ts";
import { metadataOf, type Work } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { testLogger } from "../harness/postgres.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import {
  conditionOf,
  type ConfigMap,
  configMap,
  isTrue,
  ledgerRef,
  type Report,
  startAgent,
} from "./one_agent.ts";
import { maps, ownedMaps } from "./owned_maps.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const merge = { type: "merge", ...WRITER } as const;
const { mapRef, find, uidOf, ownersOf, ledgerOf, listed } = ownedMaps(kube);

const held = (map: ConfigMap): JsonObject => ({
  ...map,
  metadata: { ...map.metadata, finalizers: ["test.io/hold"] },
});

const letGo = async (name: string) =>
  await kube.patch(await mapRef(name), { metadata: { finalizers: null } }, merge);

const untilApplied = (uid: string, version: number) =>
  agent.until(uid, (report) => isTrue(report, "Applied", version));

async function remove(uid: string): Promise<void> {
  await agent.delete(uid);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
}

const strategy = (name: string, type: string): JsonObject => ({
  resourceIdentifier: { group: "", resource: "configmaps", name, namespace: "default" },
  updateStrategy: { type },
});

const messageOf = (report: Report) => conditionOf(report, "Deleting")?.message ?? "";

test("A17, A18: a removed object that terminates stays listed until it is gone, also when the work goes meanwhile", async () => {
  const { uid, names: [kept = "", slow = "", slower = ""] } = maps("kept", "slow", "slower");
  const all = [configMap(kept, {}), held(configMap(slow, {})), held(configMap(slower, {}))];
  await agent.send(uid, 1, { manifests: all });
  await untilApplied(uid, 1);

  await agent.send(uid, 2, { manifests: all.slice(0, 1) });
  await untilApplied(uid, 2);
  const names = async () => (await listed(uid)).map(({ name }) => name).toSorted();
  expect(await names()).toEqual([kept, slow, slower].toSorted());
  await letGo(slow);
  await eventually(names, (found) => Bun.deepEquals(found, [kept, slower].toSorted()));

  await agent.delete(uid, 2);
  await eventually(names, (found) => Bun.deepEquals(found, [slower]));
  expect((await ledgerOf(uid)) === undefined).toBeFalse();
  await letGo(slower);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await ledgerOf(uid)).toBeUndefined();
});

test(
  "A19: a deletion waits for finalizers, says for whose and since when, and goes on as they go",
  async () => {
    const { uid, names: [first = "", second = ""] } = maps("first", "second");
    await agent.send(uid, 1, {
      manifests: [held(configMap(first, {})), held(configMap(second, {}))],
    });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));

    await agent.delete(uid, 1);

    const deleting = await agent.until(uid, (report) => isTrue(report, "Deleting"));
    expect(conditionOf(deleting, "Deleting")).toMatchObject({
      reason: "WorkDeleting",
      message: "ManifestWork is being deleted",
      observedGeneration: 1,
    });
    const said = await agent.until(uid, (report) => messageOf(report).includes("waits"));
    const since = async (name: string) => metadataOf(await find(name))["deletionTimestamp"];
    const waitFor = async (name: string) =>
      `waits for configmaps default/${name} (finalizers: test.io/hold) since ${await since(name)}`;
    expect(messageOf(said)).toBe(
      `ManifestWork is being deleted: ${await waitFor(first)}; ${await waitFor(second)}`,
    );
    await letGo(first);
    await eventually(async () => (await listed(uid)).length, (count) => count === 1);
    expect(await find(second)).toBeDefined();
    const reports = agent.reports.filter((report) => report.uid === uid).length;
    await letGo(second);
    await agent.until(uid, (report) => isTrue(report, "Deleted"));
    expect(reports).toBeLessThan(8);
  },
  20_000,
);

test("W16: a definition goes after its objects, and what others need goes last", async () => {
  const uid = crypto.randomUUID();
  const group = `g${uid.slice(0, 8)}.test.io`;
  const definition = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind: "Thing", plural: "things", singular: "thing" },
      versions: [{
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      }],
    },
  };
  const thing = {
    apiVersion: `${group}/v1`,
    kind: "Thing",
    metadata: { name: "one", namespace: "default", finalizers: ["test.io/hold"] },
  };
  const account = {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: `account-${uid}`, namespace: "default" },
  };
  await agent.send(uid, 1, { manifests: [definition, thing, account] });
  await untilApplied(uid, 1);

  await agent.delete(uid, 1);

  const ref = await refOf(kube, `${group}/v1`, "Thing", "one");
  await eventually(
    async () => metadataOf(await kube.get(ref))["deletionTimestamp"],
    (time) => time !== undefined,
  );
  const said = await agent.until(uid, (report) => messageOf(report).includes("waits"));
  expect(messageOf(said)).toContain(
    `waits for things.${group} default/one (finalizers: test.io/hold)`,
  );
  for (
    const [apiVersion, kind, name] of [
      ["apiextensions.k8s.io/v1", "CustomResourceDefinition", `things.${group}`],
      ["v1", "ServiceAccount", `account-${uid}`],
    ] as const
  ) {
    const object = await kube.get(await refOf(kube, apiVersion, kind, name));
    expect(metadataOf(object)["uid"]).toBeDefined();
    expect(metadataOf(object)["deletionTimestamp"]).toBeUndefined();
  }
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(
    await kube.get(await refOf(kube, "v1", "ServiceAccount", `account-${uid}`)),
  ).toBeUndefined();
}, 20_000);

test("W3: what is complete and gone is not made again by a restarted agent", async () => {
  const { uid, names: [name = "", other = ""] } = maps("done", "other");
  const hub = `hub-${uid}`;
  const spec = (value: string) => ({
    manifests: [configMap(name, { done: "yes" }), configMap(other, { value })],
    manifestConfigs: [{
      ...strategy(name, "Update"),
      conditionRules: [{
        type: "CEL",
        condition: "Complete",
        celExpressions: ["object.data.done == 'yes'"],
      }],
    }],
  });
  {
    await using agent = await startAgent(kube, { hub });
    await agent.send(uid, 1, spec("1"));
    await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  }
  const ref = await mapRef(name);
  await kube.delete(ref, { uid: String(await uidOf(name)), propagationPolicy: "Background" });

  await using agent = await startAgent(kube, { hub });
  await agent.send(uid, 1, spec("1"), { action: "resync_response" });
  await agent.send(uid, 2, spec("2"));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  expect((await find(other))?.["data"]).toEqual({ value: "2" });
  expect(await find(name)).toBeUndefined();
});

test(
  "a work that comes again waits for its former AppliedManifestWork, which somebody else holds",
  async () => {
    const { uid, names: [name = ""], spec } = maps("again");
    await agent.send(uid, 1, spec);
    await untilApplied(uid, 1);
    const ref = await ledgerRef(kube, uid);
    const live = metadataOf(await kube.get(ref));
    const finalizers = [...live["finalizers"] as string[], "test.io/hold"];
    await kube.patch(ref, { metadata: { finalizers } }, merge);

    await remove(uid);
    expect(await find(name)).toBeUndefined();
    const reports = agent.reports.length;
    await agent.send(uid, 1, spec);
    await Bun.sleep(300);
    expect(await find(name)).toBeUndefined();
    expect(agent.reports).toHaveLength(reports);

    await kube.patch(ref, { metadata: { finalizers: null } }, merge);
    const owners = await eventually(() => ownersOf(name), (found) => found.length > 0, {
      timeoutMs: 15_000,
    });
    const owner = metadataOf(await kube.get(ref))["uid"];
    expect(owner).not.toBe(live["uid"]);
    expect(owners).toMatchObject([{ uid: owner }]);
  },
  20_000,
);

/** What an agent knows of a work that it has applied. */
function appliedWork(uid: string): Work {
  return {
    ...{ uid, name: uid, version: 1, source: "maestro", dataType: "manifestbundles" },
    ...{ metadata: {}, logTracing: "{}", isGone: false, isSettled: true, mustReport: false },
    conditions: [],
    slots: [{
      meta: {
        ...{ ordinal: 0, group: "", version: "v1", kind: "ConfigMap", resource: "configmaps" },
        ...{ name: `known-${uid}`, namespace: "default" },
      },
      ...{ conditions: [], values: [], isDrifted: false, isKnown: true, uid: "known" },
    }],
  };
}

test("I5: what was applied is not taken for gone because its owner is forgotten", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  {
    await using agent = await startAgent(kube, { hub });
    await agent.send(uid, 1, { manifests: [configMap(`known-${uid}`, {})] });
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }
  // As if a watch had lost it: nothing was loaded.
  const ledger = openLedger(kube, await installLedgerType(kube), { hubName: hub });
  const work = appliedWork(uid);
  const deletions = createDeletions({
    ...{ kube, ledger, works: new Map([[uid, work]]), log: testLogger(), nowMs: Date.now },
    changed: () => {},
  });

  while (!await deletions.advance(work));

  expect(await find(`known-${uid}`)).toBeUndefined();
  expect(await kube.get(await ledgerRef(kube, uid, hub))).toBeUndefined();
});

test(
  "I5: a deletion waits for what is still there though somebody takes its AppliedManifestWork away",
  async () => {
    const { uid, names: [name = ""] } = maps("stuck");
    let looks = 0;
    const counting: Kube = {
      ...kube,
      async get(ref) {
        if (ref.name === name) looks++;
        return await kube.get(ref);
      },
    };
    await using agent = await startAgent(counting, { hub: uid });
    await agent.send(uid, 1, { manifests: [held(configMap(name, {}))] });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    await agent.delete(uid, 1);
    await eventually(() => find(name), (object) => "deletionTimestamp" in metadataOf(object));
    const ledger = await ledgerRef(kube, uid, uid);
    await kube.patch(ledger, { metadata: { finalizers: null } }, merge);
    await eventually(() => kube.get(ledger), (object) => object === undefined);

    const isDeleted = () => agent.reports.some((report) => isTrue(report, "Deleted"));
    const before = looks;
    await eventually(() => isDeleted() || looks > before + 2, Boolean, { timeoutMs: 15_000 });
    expect(isDeleted()).toBeFalse();
    await letGo(name);
    await agent.until(uid, (report) => isTrue(report, "Deleted"));
  },
  40_000,
);

test("I5: what is said late of a former AppliedManifestWork does not forget the one that followed", async () => {
  const work = appliedWork(crypto.randomUUID());
  const hub = `hub-${work.uid}`;
  const ledger = openLedger(kube, await installLedgerType(kube), { hubName: hub });
  const ref = await ledgerRef(kube, work.uid, hub);
  const former = await ledger.ensure(work, {}, []);
  const last = await kube.get(ref);
  await ledger.startDeletion(former);
  await ledger.release(former);

  const next = await ledger.ensure(work, {}, []);
  await ledger.release(former);
  ledger.lose(last ?? {});

  expect(next.uid).not.toBe(former.uid);
  expect(ledger.get(work.name)).toBe(next);
});

test("a deletion that another's hand has ended leaves nothing to the next life of its name", async () => {
  const uid = crypto.randomUUID();
  const hub = `hub-${uid}`;
  const map = `known-${uid}`;
  const apply = async () => {
    await using agent = await startAgent(kube, { hub });
    await agent.send(uid, 1, { manifests: [held(configMap(map, {}))] });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  };
  const works = new Map<string, Work>();
  const ledger = openLedger(kube, await installLedgerType(kube), { hubName: hub });
  let now = Date.now();
  const parts = { kube, ledger, works, log: testLogger(), nowMs: () => now, changed: () => {} };
  const deletions = createDeletions(parts);
  const begin = async () => {
    await apply();
    const work = appliedWork(uid);
    works.set(uid, work);
    expect(await deletions.advance(work)).toBeFalse();
    return work;
  };
  const first = await begin();
  const entry = ledger.get(uid);
  if (entry === undefined) throw new Error("its AppliedManifestWork is not known");
  await letGo(map);
  while (await deletions.finalise(entry) !== undefined);
  expect(await deletions.advance(first)).toBeTrue();

  now += 3_600_000;
  const second = await begin();
  await letGo(map);
  while (!await deletions.advance(second));

  const said = second.conditions.find(({ type }) => type === "Deleting");
  expect(said?.message).toBe("ManifestWork is being deleted");
});
