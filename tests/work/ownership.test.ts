/** Who owns an object, and what that means when its works end: on a real cluster that collects garbage. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import {
  conditionOf,
  configMap,
  feedbackOf,
  isTrue,
  ledgerRef,
  type Report,
  startAgent,
} from "./one_agent.ts";
import { maps, ownedMaps } from "./owned_maps.ts";

const cluster = await startKubernetes({ controllers: true });
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const merge = { type: "merge", ...WRITER } as const;
const { mapRef, find, uidOf, ownersOf, ledgerOf, listed } = ownedMaps(kube);

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

test("A16: new feedback values are a transition of StatusFeedbackSynced", async () => {
  const { uid, names: [name = ""], spec } = maps("feedback");
  const rules = [{ type: "JSONPaths", jsonPaths: [{ name: "a", path: ".data.a" }] }];
  const config = { ...strategy(name, "CreateOnly"), feedbackRules: rules };
  await agent.send(uid, 1, { ...spec, manifestConfigs: [config] });
  const before = await agent.until(uid, (report) => isTrue(report, "Available", 1));

  // Kubernetes' times have whole seconds.
  await Bun.sleep(1_000);
  await kube.patch(await mapRef(name), { data: { a: "2" } }, merge);

  const after = await agent.until(uid, (report) => feedbackOf(report).length > 0);
  const timeOf = (report: Report) =>
    conditionOf(report, "StatusFeedbackSynced", 0)?.lastTransitionTime ?? "";
  expect(timeOf(after) > timeOf(before)).toBeTrue();
});

test("A22: an AppliedManifestWork has the labels of its work, also after they change, and keeps those of others", async () => {
  const { uid, spec } = maps("labels");
  const hub = `hub-${uid}`;
  const labelsOf = async () =>
    metadataOf(await kube.get(await ledgerRef(kube, uid, hub)))["labels"] as JsonObject;
  const source = { "cloudevents.open-cluster-management.io/originalsource": "maestro" };
  {
    await using agent = await startAgent(kube, { hub });
    await agent.send(uid, 1, spec, { metadata: { labels: { team: "a", tier: "web" } } });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    expect(await labelsOf()).toEqual({ ...source, team: "a", tier: "web" });
  }
  const mine = { metadata: { labels: { mine: "1" } } };
  await kube.patch(await ledgerRef(kube, uid, hub), mine, merge);

  await using agent = await startAgent(kube, { hub });
  await agent.send(uid, 2, spec, { metadata: { labels: { team: "b" } } });
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  expect(await labelsOf()).toEqual({ ...source, team: "b", mine: "1" });
});

test("A24, A25, A100: an object of several works stays until the last of them lets it go", async () => {
  const name = `shared-${crypto.randomUUID()}`;
  const [first, second, third] = [maps("a"), maps("b"), maps("c")];
  const shared = configMap(name, {});
  for (const { uid, spec } of [first, second, third]) {
    await agent.send(uid, 1, { manifests: [...spec.manifests, shared] });
    await untilApplied(uid, 1);
  }
  const uid = await uidOf(name);
  expect(await ownersOf(name)).toHaveLength(3);

  await agent.send(first.uid, 2, first.spec);
  await untilApplied(first.uid, 2);
  await eventually(() => ownersOf(name), (owners) => owners.length === 2);
  await remove(second.uid);
  expect(await ownersOf(name)).toHaveLength(1);
  expect(await uidOf(name)).toBe(uid);
  await eventually(() => listed(third.uid), (list) => list.some((entry) => entry.uid === uid));

  await remove(third.uid);
  expect(await find(name)).toBeUndefined();
});

test("A26: objects of a work that orphans them have no owner, and stay", async () => {
  const { uid, names: [name = ""], spec } = maps("orphan");
  await agent.send(uid, 1, { ...spec, deleteOption: { propagationPolicy: "Orphan" } });
  await untilApplied(uid, 1);
  expect(await ownersOf(name)).toEqual([]);

  await remove(uid);

  expect(await ledgerOf(uid)).toBeUndefined();
  expect(await find(name)).toBeDefined();
});

const orphaning = (name: string): JsonObject => ({
  propagationPolicy: "SelectivelyOrphan",
  selectivelyOrphans: {
    orphaningRules: [{ group: "", resource: "configmaps", name, namespace: "default" }],
  },
});

test("A27, A28: an object that a rule names has no owner and stays, whether its manifest or its work goes", async () => {
  const { uid, names: [kept = "", early = "", gone = ""], spec } = maps("kept", "early", "gone");
  const rules = [kept, early].map((name) => ({
    group: "",
    resource: "configmaps",
    name,
    namespace: "default",
  }));
  const deleteOption = { ...orphaning(kept), selectivelyOrphans: { orphaningRules: rules } };
  await agent.send(uid, 1, { ...spec, deleteOption });
  await untilApplied(uid, 1);
  expect(await ownersOf(kept)).toEqual([]);
  expect(await ownersOf(gone)).toHaveLength(1);

  const rest = spec.manifests.filter(({ metadata }) => metadata.name !== early);
  await agent.send(uid, 2, { manifests: rest, deleteOption });
  await untilApplied(uid, 2);
  await remove(uid);

  expect(await find(early)).toBeDefined();
  expect(await find(kept)).toBeDefined();
  expect(await find(gone)).toBeUndefined();
});

for (const type of ["Update", "CreateOnly", "ServerSideApply"]) {
  test(`A29: ownership ends with the option to orphan and comes back with its removal (${type})`, async () => {
    const { uid, names: [name = ""], spec } = maps("toggle");
    const manifestConfigs = [strategy(name, type)];
    await agent.send(uid, 1, { ...spec, manifestConfigs });
    await untilApplied(uid, 1);
    expect(await ownersOf(name)).toHaveLength(1);
    const first = await uidOf(name);

    await agent.send(uid, 2, { ...spec, manifestConfigs, deleteOption: orphaning(name) });
    await untilApplied(uid, 2);
    expect(await ownersOf(name)).toEqual([]);
    await agent.send(uid, 3, { ...spec, manifestConfigs });
    await untilApplied(uid, 3);
    expect(await ownersOf(name)).toHaveLength(1);
    expect(await uidOf(name)).toBe(first);

    await remove(uid);
    expect(await find(name)).toBeUndefined();
  });
}

test("a work that only creates an object owns it again after somebody took that away", async () => {
  const { uid, names: [name = ""], spec } = maps("disowned");
  await agent.send(uid, 1, { ...spec, manifestConfigs: [strategy(name, "CreateOnly")] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await kube.patch(await mapRef(name), { metadata: { ownerReferences: null } }, merge);

  await eventually(() => ownersOf(name), (owners) => owners.length === 1);
  await remove(uid);
  expect(await find(name)).toBeUndefined();
});

test("a work that only creates an object owns the one that another work has made in its place", async () => {
  const [creator, other] = [maps("creator"), maps("other")];
  const shared = configMap(`shared-${creator.uid}`, {});
  const { name } = shared.metadata;
  const [{ promise: reached, resolve: reach }, { promise: released, resolve: release }] = [
    Promise.withResolvers<void>(),
    Promise.withResolvers<void>(),
  ];
  const slow: Kube = {
    ...kube,
    async create(ref, object, options) {
      if (ref.name === creator.names[0]) {
        reach();
        await released;
      }
      return await kube.create(ref, object, options);
    },
  };
  await using agent = await startAgent(slow, { hub: creator.uid });
  const manifestConfigs = [strategy(name, "CreateOnly")];
  await agent.send(creator.uid, 1, { manifests: [shared], manifestConfigs });
  await agent.until(creator.uid, (report) => isTrue(report, "Available", 1));
  await agent.send(other.uid, 1, { manifests: [...other.spec.manifests, shared] });
  await agent.until(other.uid, (report) => isTrue(report, "Available", 1));
  // A pass that is under way sees only how the object is afterwards.
  await agent.send(creator.uid, 2, {
    manifests: [shared, ...creator.spec.manifests],
    manifestConfigs,
  });
  await reached;
  const before = await uidOf(name);
  await kube.delete(await mapRef(name), { uid: String(before), propagationPolicy: "Background" });
  await eventually(() => uidOf(name), (now) => now !== undefined && now !== before);
  release();

  await agent.until(creator.uid, (report) => isTrue(report, "Applied", 2));
  await eventually(() => ownersOf(name), (owners) => owners.length === 2);
});

test("W13: a work that changes to only reading an object lets it go, and the object outlives it", async () => {
  const { uid, names: [name = ""], spec } = maps("released");
  await agent.send(uid, 1, spec);
  await untilApplied(uid, 1);
  expect(await ownersOf(name)).toHaveLength(1);

  await agent.send(uid, 2, { ...spec, manifestConfigs: [strategy(name, "ReadOnly")] });
  await untilApplied(uid, 2);
  expect(await ownersOf(name)).toEqual([]);
  await remove(uid);

  expect(await find(name)).toBeDefined();
});

test("A101: an owner that is no AppliedManifestWork does not keep an object of a deleted work", async () => {
  const { uid, names: [name = ""], spec } = maps("owned");
  const other = await mapRef(`other-${uid}`);
  const owner = metadataOf(await kube.create(other, configMap(other.name, {}), WRITER));
  await agent.send(uid, 1, spec);
  await untilApplied(uid, 1);
  const own = await ownersOf(name);
  const reference = { apiVersion: "v1", kind: "ConfigMap", name: other.name, uid: owner["uid"] };
  await kube.patch(
    await mapRef(name),
    { metadata: { ownerReferences: [...own, reference] } },
    merge,
  );

  await remove(uid);

  expect(await find(name)).toBeUndefined();
  expect(await find(other.name)).toBeDefined();
});

test("A116: two sources read one Deployment by works of their own, and the end of one is nothing to the other", async () => {
  const name = `read-${crypto.randomUUID()}`;
  const ref = await refOf(kube, "apps/v1", "Deployment", name);
  const labels = { app: name };
  const template = {
    metadata: { labels },
    spec: { containers: [{ name: "web", image: "nginx" }] },
  };
  const spec = { replicas: 0, selector: { matchLabels: labels }, template };
  const manifest = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
  };
  const created = metadataOf(await kube.create(ref, { ...manifest, spec }, WRITER));
  const reading = {
    manifests: [manifest],
    manifestConfigs: [{
      resourceIdentifier: { group: "apps", resource: "deployments", name, namespace: "default" },
      updateStrategy: { type: "ReadOnly" },
      feedbackRules: [{
        type: "JSONPaths",
        jsonPaths: [{ name: "replicas", path: ".spec.replicas" }],
      }],
    }],
  };
  const [one, two] = [crypto.randomUUID(), crypto.randomUUID()];
  for (const [uid, source] of [[one, "maestro"], [two, "another"]] as const) {
    await agent.send(uid, 1, reading, { source });
    await agent.until(uid, (report) => feedbackOf(report).length > 0);
  }

  await remove(one);
  await kube.patch(ref, { spec: { replicas: 1 } }, merge);

  const report = await agent.until(
    two,
    (report) => feedbackOf(report)[0]?.fieldValue.integer === 1,
  );
  expect(report.event.extensions["originalsource"]).toBe("another");
  expect(metadataOf(await kube.get(ref))["uid"]).toBe(String(created["uid"]));
  expect(await ledgerOf(one)).toBeUndefined();
  expect(await ledgerOf(two)).toBeDefined();
});
