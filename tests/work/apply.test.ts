/** Works from their creation to their end on a real API server, by the numbers of the checklist. */

import { afterAll, expect, test } from "bun:test";
import { isObject, type JsonObject } from "../../src/lib/json.ts";
import { type Kube, KubeError } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { access, clusterRole, deploymentOf, named, thing, thingDefinition } from "./manifests.ts";
import { conditionOf, configMap, isTrue, ledgerRef, type Report, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);
const merge = { type: "merge", fieldManager: "others" } as const;

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const newUid = () => crypto.randomUUID();
const read = async (apiVersion: string, kind: string, name: string) =>
  await kube.get(await refOf(kube, apiVersion, kind, name));
const readMap = (name: string) => read("v1", "ConfigMap", name);
const settled = (uid: string, version: number) =>
  agent.until(uid, (report) => isTrue(report, "Applied", version) && isTrue(report, "Available"));

/** What the AppliedManifestWork lists, in its order, once that is as expected. */
async function listed(uid: string, expected: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const status = (await kube.get(await ledgerRef(kube, uid)))?.["status"];
      const list = isObject(status) ? status["appliedResources"] as JsonObject[] : [];
      return list.filter(({ uid }) => uid !== "").map(({ resource, namespace, name }) =>
        `${resource} ${namespace}/${name}`
      );
    },
    (list) => Bun.deepEquals(list, expected),
  );
}

async function gone(uid: string): Promise<void> {
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  const ref = await ledgerRef(kube, uid);
  await eventually(() => kube.get(ref), (object) => object === undefined);
}

const statesOf = (report: Report, type: string) =>
  (report.status.resourceStatus ?? []).map((_, ordinal) =>
    conditionOf(report, type, ordinal)?.status
  );

test("A1, A2, A3: one manifest is applied as work-agent, replaced by another, and goes with its work", async () => {
  const uid = newUid();
  const [one, two] = [`one-${uid}`, `two-${uid}`];
  await agent.send(uid, 1, { manifests: [configMap(one, { a: "1" })] });

  const report = await settled(uid, 1);
  expect(statesOf(report, "Applied")).toEqual(["True"]);
  expect(statesOf(report, "Available")).toEqual(["True"]);
  const { managedFields } = metadataOf(await readMap(one)) as { managedFields: JsonObject[] };
  expect(managedFields.map(({ manager }) => manager)).toEqual(["work-agent"]);
  await listed(uid, [`configmaps default/${one}`]);

  await agent.send(uid, 2, { manifests: [configMap(two, { a: "1" })] });
  await settled(uid, 2);
  await listed(uid, [`configmaps default/${two}`]);
  expect(await readMap(one)).toBeUndefined();

  await agent.delete(uid, 2);
  await gone(uid);
  expect(await readMap(two)).toBeUndefined();
});

test("A4, A5, A6: of several manifests one fails alone, and a new version sets it right, changes and swaps", async () => {
  const uid = newUid();
  const [a, b, c, d] = ["a", "b", "c", "d"].map((letter) => `${letter}-${uid}`) as [
    string,
    string,
    string,
    string,
  ];
  await agent.send(uid, 1, {
    manifests: [configMap(a, {}, "nowhere"), configMap(b, { v: "1" }), configMap(c, {})],
  });

  const failed = await agent.until(uid, (report) => conditionOf(report, "Applied") !== undefined);
  expect(conditionOf(failed, "Applied")?.status).toBe("False");
  expect(conditionOf(failed, "Available")?.status).toBe("False");
  expect(statesOf(failed, "Applied")).toEqual(["False", "True", "True"]);
  expect(statesOf(failed, "Available")).toEqual(["False", "True", "True"]);

  await agent.send(uid, 2, {
    manifests: [configMap(a, {}), configMap(b, { v: "2" }), configMap(d, {})],
  });
  const report = await settled(uid, 2);
  expect(statesOf(report, "Applied")).toEqual(["True", "True", "True"]);
  expect((await readMap(b))?.["data"]).toEqual({ v: "2" });
  await listed(uid, [a, b, d].map((name) => `configmaps default/${name}`));
  expect(await readMap(c)).toBeUndefined();

  await agent.delete(uid, 2);
  await gone(uid);
  expect(await Promise.all([a, b, d].map(readMap))).toEqual([undefined, undefined, undefined]);
});

test("A7, A8, A9, A10: a definition and its object are applied at once; what others add to the object stays", async () => {
  const uid = newUid();
  const group = `g${uid.slice(0, 8)}.test.io`;
  const spec = (annotation: string) => ({
    manifests: [thing(group, { size: annotation }, { ours: annotation }), thingDefinition(group)],
  });
  await agent.send(uid, 1, spec("1"));

  const report = await settled(uid, 1);
  expect(agent.reports.filter((each) => each.uid === uid && !isTrue(each, "Applied"))).toEqual([]);
  expect(statesOf(report, "Applied")).toEqual(["True", "True"]);
  await listed(uid, [`customresourcedefinitions /things.${group}`, "things default/one"]);

  const ref = await refOf(kube, `${group}/v1`, "Thing", "one");
  await kube.patch(ref, {
    metadata: { annotations: { theirs: "x" }, finalizers: ["test.io/theirs"] },
  }, merge);
  await agent.send(uid, 2, spec("2"));
  await settled(uid, 2);
  const changed = await kube.get(ref);
  expect(metadataOf(changed)["annotations"]).toEqual({ ours: "2", theirs: "x" });
  expect(metadataOf(changed)["finalizers"]).toEqual(["test.io/theirs"]);
  expect(changed?.["spec"]).toEqual({ size: "2" });

  await kube.patch(ref, { metadata: { finalizers: null } }, merge);
  await agent.delete(uid, 2);
  await gone(uid);
  expect(
    await read("apiextensions.k8s.io/v1", "CustomResourceDefinition", `things.${group}`),
  ).toBeUndefined();
});

test("A11: a cluster-scoped object that wrongly names a namespace is applied and listed without it", async () => {
  const uid = newUid();

  await agent.send(uid, 1, { manifests: [clusterRole(`role-${uid}`, "default")] });

  const report = await settled(uid, 1);
  expect(report.status.resourceStatus?.[0]?.resourceMeta.namespace).toBe("");
  await listed(uid, [`clusterroles /role-${uid}`]);
});

test("A12, A13, A14: what others need comes first, and a new version moves only the times of what is new", async () => {
  const uid = newUid();
  const deployment = (replicas: number) => deploymentOf(`d-${uid}`, { replicas });
  await agent.send(uid, 1, { manifests: [...access(uid, `sa-${uid}`), deployment(0)] });
  const before = await settled(uid, 1);
  await listed(uid, [
    `serviceaccounts default/sa-${uid}`,
    `deployments default/d-${uid}`,
    `rolebindings default/r-${uid}`,
    `roles default/r-${uid}`,
  ]);
  // Times have whole seconds.
  await Bun.sleep(1_100);

  await agent.send(uid, 2, { manifests: [deployment(1), ...access(uid, `new-${uid}`)] });

  const after = await settled(uid, 2);
  const list = after.status.resourceStatus ?? [];
  expect(list.map(({ resourceMeta }) => resourceMeta.kind))
    .toEqual(["Deployment", "ServiceAccount", "Role", "RoleBinding"]);
  for (const { conditions } of list) {
    // Ours adds whether a workload is ready.
    const types = (conditions ?? []).map(({ type }) => type).filter((type) => type !== "Ready");
    expect(types.toSorted()).toEqual(["Applied", "Available", "StatusFeedbackSynced"]);
    expect(conditions?.find(({ type }) => type === "Applied")?.observedGeneration).toBe(2);
  }
  const timeOf = (report: Report, type: string, ordinal?: number) =>
    String(conditionOf(report, type, ordinal)?.lastTransitionTime);
  expect(timeOf(after, "Available", 0)).toBe(timeOf(before, "Available", 3));
  expect(timeOf(after, "Available", 1) > timeOf(before, "Available", 0)).toBeTrue();
  expect(conditionOf(after, "Available")?.observedGeneration).toBe(2);
  expect(timeOf(after, "Applied") >= timeOf(before, "Applied")).toBeTrue();
  const live = await read("apps/v1", "Deployment", `d-${uid}`);
  expect((live?.["spec"] as JsonObject)["replicas"]).toBe(1);
  expect(await read("v1", "ServiceAccount", `sa-${uid}`)).toBeUndefined();
});

test("A15: an edit of an applied object is undone, and the conditions stay as they are", async () => {
  const uid = newUid();
  await agent.send(uid, 1, { manifests: [configMap(`m-${uid}`, { a: "1" })] });
  const before = await settled(uid, 1);
  const ref = await refOf(kube, "v1", "ConfigMap", `m-${uid}`);

  await kube.patch(ref, { data: { a: "2" } }, merge);

  await eventually(
    async () => (await kube.get(ref))?.["data"],
    (found) => Bun.deepEquals(found, { a: "1" }),
  );
  const later = agent.reports.filter((report) => report.uid === uid);
  expect(later.every((report) => isTrue(report, "Applied", 1))).toBeTrue();
  expect(later.at(-1)?.status.conditions).toEqual(before.status.conditions);
});

test("A23: a binding's role cannot be changed, which each version says; the binding itself is there", async () => {
  const uid = newUid();
  const spec = (role: string) => {
    const [account, , binding] = access(uid, `sa-${uid}`);
    return { manifests: [account, { ...binding, roleRef: { ...roleRef, name: role } }] };
  };
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role" };
  await agent.send(uid, 1, spec("one"));
  await settled(uid, 1);

  for (const [version, role] of [[2, "two"], [3, "three"]] as const) {
    await agent.send(uid, version, spec(role));
    const report = await agent.until(uid, (report) => report.version === version);
    expect(conditionOf(report, "Applied", 1)).toMatchObject({
      status: "False",
      observedGeneration: version,
    });
    expect(conditionOf(report, "Applied", 1)?.message).toEndWith(
      "(roleRef cannot be changed: put back the old value, or delete the object, which is then " +
        "made anew)",
    );
    expect(conditionOf(report, "Available", 1)?.status).toBe("True");
  }
});

test("A96: a namespace and an object in it travel in one work, in either order, and change", async () => {
  const uid = newUid();
  const namespace = `ns-${uid}`;
  const spec = (value: string) => ({
    manifests: [
      configMap("inside", { value }, namespace),
      { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    ],
  });

  await agent.send(uid, 1, spec("1"));
  await settled(uid, 1);
  await agent.send(uid, 2, spec("2"));
  await settled(uid, 2);

  const ref = { ...await refOf(kube, "v1", "ConfigMap", "inside"), namespace };
  expect((await kube.get(ref))?.["data"]).toEqual({ value: "2" });
});

test("A98: an object that moves to another version of its kind stays the same object", async () => {
  const uid = newUid();
  const group = `g${uid.slice(0, 8)}.test.io`;
  const spec = (version: string) => ({
    manifests: [
      thingDefinition(group, ["v1", "v2"]),
      { ...thing(group, { size: version }), apiVersion: `${group}/${version}` },
    ],
  });
  await agent.send(uid, 1, spec("v1"));
  await settled(uid, 1);
  const before = metadataOf(await read(`${group}/v1`, "Thing", "one"))["uid"];

  await agent.send(uid, 2, spec("v2"));
  await settled(uid, 2);

  const after = await read(`${group}/v2`, "Thing", "one");
  expect(metadataOf(after)["uid"]).toBe(before);
  expect(after?.["spec"]).toEqual({ size: "v2" });
});

test("A110: a work that was deleted begins anew with the same id, at version 1", async () => {
  const uid = newUid();
  const spec = (replicas: number) => ({ manifests: [deploymentOf(`d-${uid}`, { replicas })] });
  const replicas = async () =>
    ((await read("apps/v1", "Deployment", `d-${uid}`))?.["spec"] as JsonObject | undefined)
      ?.["replicas"];
  await agent.send(uid, 1, spec(1));
  await settled(uid, 1);
  await agent.send(uid, 2, spec(2));
  await settled(uid, 2);
  expect(await replicas()).toBe(2);
  await agent.delete(uid, 2);
  await gone(uid);
  expect(await replicas()).toBeUndefined();

  await agent.send(uid, 1, spec(3), {
    metadata: { creationTimestamp: new Date(Date.now() + 1_000).toISOString() },
  });

  await agent.until(uid, (report) => isTrue(report, "Applied", 1) && !isTrue(report, "Deleted"));
  expect(await replicas()).toBe(3);
});

test("A113: manifests are added, removed and replaced", async () => {
  const uid = newUid();
  const names = async (version: number, letters: string[]) => {
    const own = letters.map((letter) => `${letter}-${uid}`);
    await agent.send(uid, version, { manifests: own.map((name) => configMap(name, {})) });
    await settled(uid, version);
    await listed(uid, own.map((name) => `configmaps default/${name}`));
    const all = await Promise.all(["a", "b", "c"].map((letter) => readMap(`${letter}-${uid}`)));
    return all.flatMap((object) => object ? [String(metadataOf(object)["name"])[0]] : []);
  };

  expect(await names(1, ["a"])).toEqual(["a"]);
  expect(await names(2, ["a", "b"])).toEqual(["a", "b"]);
  expect(await names(3, ["b"])).toEqual(["b"]);
  expect(await names(4, ["c"])).toEqual(["c"]);
});

test("W5: a manifest of an unknown kind holds back neither the others nor what is removed", async () => {
  const uid = newUid();
  const unknown = named("nobody.test.io/v1", "Unknown", "one");
  await agent.send(uid, 1, { manifests: [configMap(`old-${uid}`, {})] });
  await settled(uid, 1);

  await agent.send(uid, 2, { manifests: [unknown, configMap(`new-${uid}`, {})] });

  const report = await agent.until(uid, (report) => report.version === 2);
  expect(statesOf(report, "Applied")).toEqual(["False", "True"]);
  expect(conditionOf(report, "Applied", 0)?.message).toBe(
    `Failed to apply manifest: the server doesn't have a resource type "Unknown"`,
  );
  await listed(uid, [`configmaps default/new-${uid}`]);
  expect(await readMap(`old-${uid}`)).toBeUndefined();
});

test("what was planned is known after a crash, and removed if nobody wants it any more", async () => {
  const uid = newUid();
  const hub = `crash-${uid}:1`;
  const made: JsonObject[] = [];
  const crashing: Kube = {
    ...kube,
    async create(ref, object, options) {
      made.push(object);
      return await kube.create(ref, object, options);
    },
    // As if the agent had died after its last create: neither uids nor records are written.
    patch: () => Promise.reject(new KubeError(0, "Unreachable", "the agent is dead")),
  };
  {
    await using first = await startAgent(crashing, { hub });
    await first.send(uid, 1, { manifests: [configMap(`old-${uid}`, {})] });
    await first.until(uid, (report) => isTrue(report, "Applied", 1));
  }
  expect(made.map(({ kind }) => kind)).toEqual(["AppliedManifestWork", "ConfigMap"]);

  await using second = await startAgent(kube, { hub });
  await second.send(uid, 2, { manifests: [configMap(`new-${uid}`, {})] });
  await second.until(uid, (report) => isTrue(report, "Applied", 2));

  expect(await readMap(`old-${uid}`)).toBeUndefined();
  expect(await readMap(`new-${uid}`)).toBeDefined();
});
