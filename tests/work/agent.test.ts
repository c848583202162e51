/** The agent on a real API server: what it applies, removes and reports. */

import { afterAll, expect, test } from "bun:test";
import { findKubeAccess } from "../../src/lib/kube/access.ts";
import { openKube } from "../../src/lib/kube/client.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { hubHashOf } from "../../src/lib/work/ledger.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { conditionOf, configMap, feedbackOf, HUB, isTrue, startAgent } from "./agent_under_test.ts";

const cluster = await startKubernetes({ pods: true });
const kube = openKube(await findKubeAccess({ kubeconfig: cluster.kubeconfig }, {}), { qps: 1000 });
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

test("a deployment is applied, becomes available and its status comes back as JSON", async () => {
  const uid = crypto.randomUUID();

  await agent.send(uid, 1, {
    manifests: [deployment(`d-${uid}`, 2)],
    manifestConfigs: [{
      resourceIdentifier: { group: "apps", resource: "deployments", name: "*", namespace: "*" },
      updateStrategy: { type: "ServerSideApply" },
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "status", path: ".status" }] }],
    }],
  });

  const report = await agent.until(uid, (report) => /"availableReplicas":2/.test(raw(report)));
  expect(isTrue(report, "Applied", 1)).toBeTrue();
  expect(isTrue(report, "Available", 1)).toBeTrue();
  expect(conditionOf(report, "Applied", 0)).toMatchObject({
    status: "True",
    observedGeneration: 1,
    reason: "AppliedManifestComplete",
    message: "Apply manifest complete",
  });
  expect(conditionOf(report, "StatusFeedbackSynced", 0)?.status).toBe("True");
  expect(report.event.extensions["statushash"]).toMatch(/^[0-9a-f]{64}$/);
  expect(report.event.extensions["originalsource"]).toBe("maestro");
});

test("an update reaches the object, and what the work no longer names is removed", async () => {
  const uid = crypto.randomUUID();
  const [kept, removed] = [`kept-${uid}`, `removed-${uid}`];
  await agent.send(uid, 1, {
    manifests: [configMap(kept, { a: "1", b: "2" }), configMap(removed, {})],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await agent.send(uid, 2, { manifests: [configMap(kept, { a: "3" })] });

  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(report.status.resourceStatus).toHaveLength(1);
  expect((await kube.get(await refOf("ConfigMap", kept)))?.["data"]).toEqual({ a: "3" });
  expect(await kube.get(await refOf("ConfigMap", removed))).toBeUndefined();
});

test("a deletion is confirmed after the objects are gone", async () => {
  const uid = crypto.randomUUID();
  const held = { ...configMap(`held-${uid}`, {}) };
  const finalized = { ...held, metadata: { ...held.metadata, finalizers: ["test.io/hold"] } };
  await agent.send(uid, 1, { manifests: [finalized] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await agent.delete(uid, 1);

  const deleting = await agent.until(uid, (report) => isTrue(report, "Deleting"));
  expect(isTrue(deleting, "Deleted")).toBeFalse();
  const ref = await refOf("ConfigMap", held.metadata.name);
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);
  const report = await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(conditionOf(report, "Deleted")).toMatchObject({
    reason: "ManifestsDeleted",
    message: "The manifests are deleted from the cluster cluster1",
  });
  expect(await kube.get(ref)).toBeUndefined();
  expect(await kube.get(await ledgerRef(uid))).toBeUndefined();
});

test("the deletion of an unknown work is confirmed, even if it names no version", async () => {
  const uid = crypto.randomUUID();

  await agent.delete(uid);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
});

test("M5: no late update brings back a work that is being deleted", async () => {
  const uid = crypto.randomUUID();
  const held = configMap(`late-${uid}`, {});
  const finalized = { ...held, metadata: { ...held.metadata, finalizers: ["test.io/hold"] } };
  await agent.send(uid, 1, { manifests: [finalized] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleting"));

  await agent.send(uid, 2, { manifests: [configMap(`other-${uid}`, {})] });
  const ref = await refOf("ConfigMap", held.metadata.name);
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await kube.get(ref)).toBeUndefined();
  expect(await kube.get(await refOf("ConfigMap", `other-${uid}`))).toBeUndefined();
});

test("an object of two works stays until the last of them goes", async () => {
  const [first, second] = [crypto.randomUUID(), crypto.randomUUID()];
  const shared = { manifests: [configMap(`shared-${first}`, { a: "1" })] };
  await agent.send(first, 1, shared);
  await agent.until(first, (report) => isTrue(report, "Applied", 1));
  await agent.send(second, 1, shared);
  await agent.until(second, (report) => isTrue(report, "Applied", 1));
  const ref = await refOf("ConfigMap", `shared-${first}`);
  const before = await kube.get(ref);

  await agent.delete(first, 1);
  await agent.until(first, (report) => isTrue(report, "Deleted"));
  const between = await kube.get(ref);
  await agent.delete(second, 1);
  await agent.until(second, (report) => isTrue(report, "Deleted"));

  expect(metadataOf(before)["ownerReferences"]).toHaveLength(2);
  expect(metadataOf(between)["uid"]).toBe(metadataOf(before)["uid"] as string);
  expect(metadataOf(between)["ownerReferences"]).toHaveLength(1);
  expect(await kube.get(ref)).toBeUndefined();
});

test("an orphaned object survives its work and never had an owner", async () => {
  const uid = crypto.randomUUID();
  const manifests = [configMap(`orphan-${uid}`, {})];
  await agent.send(uid, 1, { manifests, deleteOption: { propagationPolicy: "Orphan" } });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));

  const live = await kube.get(await refOf("ConfigMap", `orphan-${uid}`));
  expect(live).toBeDefined();
  expect(metadataOf(live)["ownerReferences"]).toBeUndefined();
});

test("a manifest for a missing namespace fails alone, and is applied once the namespace is there", async () => {
  const uid = crypto.randomUUID();
  const namespace = `ns-${uid}`;

  await agent.send(uid, 1, {
    manifests: [configMap("lost", {}, namespace), configMap(`fine-${uid}`, {})],
  });

  const report = await agent.until(uid, () => true);
  expect(conditionOf(report, "Applied")?.status).toBe("False");
  expect(conditionOf(report, "Applied", 0)).toMatchObject({
    status: "False",
    reason: "AppliedManifestFailed",
  });
  expect(conditionOf(report, "Applied", 0)?.message).toContain(
    `namespaces "${namespace}" not found`,
  );
  expect(conditionOf(report, "Available", 0)?.status).toBe("False");
  expect(conditionOf(report, "Applied", 1)?.status).toBe("True");
  await kube.create(await refOf("Namespace", namespace), namespaceOf(namespace), manager);
  await agent.until(uid, (report) => isTrue(report, "Applied") && isTrue(report, "Available"));
});

test("a definition and an object of the new kind travel in one work, in either order", async () => {
  const uid = crypto.randomUUID();
  const group = `g${uid.slice(0, 8)}.test.io`;
  const thing = {
    apiVersion: `${group}/v1`,
    kind: "Thing",
    metadata: { name: "one", namespace: "default" },
    spec: { big: 0 },
  };
  const text = JSON.stringify({ manifests: [thing, definition(group)] })
    .replace('"big":0', '"big":9007199254740993')
    .replace(
      /\}$/,
      `,"manifestConfigs":[{"resourceIdentifier":{"group":"${group}","resource":` +
        `"things","name":"one","namespace":"default"},"feedbackRules":[{"type":"JSONPaths",` +
        `"jsonPaths":[{"name":"big","path":".spec.big"}]}]}]}`,
    );

  await agent.send(uid, 1, text);

  const report = await agent.until(uid, (report) => isTrue(report, "Available", 1));
  expect(report.status.resourceStatus?.map(({ resourceMeta }) => resourceMeta.ordinal))
    .toEqual([0, 1]);
  expect(report.event.data).toContain('"integer":9007199254740993');
  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleted"));
});

test("M18: an update strategy that nobody knows is refused by name, and the other manifests go on", async () => {
  const uid = crypto.randomUUID();
  const identify = (name: string) => ({
    group: "",
    resource: "configmaps",
    name,
    namespace: "default",
  });

  await agent.send(uid, 1, {
    manifests: [configMap(`a-${uid}`, {}), configMap(`b-${uid}`, {}), configMap(`c-${uid}`, {})],
    manifestConfigs: [
      { resourceIdentifier: identify(`a-${uid}`), updateStrategy: { type: "Sometimes" } },
      { resourceIdentifier: identify(`b-${uid}`), updateStrategy: {} },
    ],
  });

  const report = await agent.until(uid, () => true);
  expect(conditionOf(report, "Applied", 0)).toMatchObject({
    status: "False",
    reason: "InvalidConfig",
    message: 'Failed to apply manifest: unknown update strategy "Sometimes"',
  });
  expect(conditionOf(report, "Applied", 1)?.status).toBe("True");
  expect(conditionOf(report, "Applied", 2)?.status).toBe("True");
});

test("M19: a spec that cannot be applied is reported for its version, with the reason", async () => {
  const uid = crypto.randomUUID();
  await agent.send(uid, 1, { manifests: [configMap(`good-${uid}`, { a: "1" })] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await agent.send(uid, 2, { manifests: [{ apiVersion: "v1", kind: "ConfigMap", metadata: {} }] });

  const report = await agent.until(uid, (report) => report.version === 2);
  expect(conditionOf(report, "Applied")).toMatchObject({
    status: "False",
    reason: "InvalidManifest",
    observedGeneration: 2,
    message: "The manifests are invalid: manifests[0]: metadata.name is missing",
  });
  expect(await kube.get(await refOf("ConfigMap", `good-${uid}`))).toBeDefined();
});

test("M20: one manifest of an unknown kind does not stop the others from being pruned and recorded", async () => {
  const uid = crypto.randomUUID();
  const unknown = { apiVersion: "none.test.io/v1", kind: "None", metadata: { name: "n" } };
  await agent.send(uid, 1, {
    manifests: [unknown, configMap(`old-${uid}`, {}), configMap(`stays-${uid}`, {})],
  });
  await agent.until(uid, (report) => conditionOf(report, "Applied", 2)?.status === "True");

  await agent.send(uid, 2, { manifests: [unknown, configMap(`stays-${uid}`, {})] });

  const report = await agent.until(uid, (report) => report.version === 2);
  expect(conditionOf(report, "Applied", 0)?.message).toBe(
    `Failed to apply manifest: the server doesn't have a resource type "None"`,
  );
  expect(await kube.get(await refOf("ConfigMap", `old-${uid}`))).toBeUndefined();
  const ledger = await kube.get(await ledgerRef(uid));
  expect(JSON.stringify(ledger?.["status"])).toContain(`stays-${uid}`);
  expect(JSON.stringify(ledger?.["status"])).not.toContain(`old-${uid}`);
});

test("M22: a manifest that is removed while it is being created does not stay", async () => {
  const uid = crypto.randomUUID();
  const [a, b] = [configMap(`a-${uid}`, {}), configMap(`b-${uid}`, {})];
  const creating = Promise.withResolvers<void>();
  const removed = Promise.withResolvers<void>();
  const slow: Kube = {
    ...kube,
    async create(ref, object, options) {
      if (ref.name === `a-${uid}`) {
        creating.resolve();
        await removed.promise;
      }
      return await kube.create(ref, object, options);
    },
  };
  await using agent = await startAgent(slow, { hub: `slow-${uid}:1` });

  await agent.send(uid, 1, { manifests: [a, b] });
  await creating.promise;
  await agent.send(uid, 2, { manifests: [b] }, { action: "update_request" });
  removed.resolve();

  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(await kube.get(await refOf("ConfigMap", `a-${uid}`))).toBeUndefined();
  expect(await kube.get(await refOf("ConfigMap", `b-${uid}`))).toBeDefined();
});

test("a field of another manager is a conflict, and gone with the field", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf("ConfigMap", `conflict-${uid}`);
  const other = { ...configMap(ref.name, { a: "theirs" }) };
  await kube.patch(ref, other, { type: "apply", fieldManager: "other" });
  const spec = (data: Record<string, string>) => ({
    manifests: [configMap(ref.name, data)],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: ref.name, namespace: "*" },
      updateStrategy: { type: "ServerSideApply" },
    }],
  });

  await agent.send(uid, 1, spec({ a: "ours" }));

  const refused = await agent.until(uid, () => true);
  expect(conditionOf(refused, "Applied", 0)?.status).toBe("False");
  expect(conditionOf(refused, "Applied", 0)?.message).toContain("conflict");
  expect(conditionOf(refused, "Available", 0)?.status).toBe("True");
  await agent.send(uid, 2, spec({ b: "ours" }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "theirs", b: "ours" });
});

test("an object that somebody changes or deletes is soon as the work wants it", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf("ConfigMap", `drift-${uid}`);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "1" })] });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await kube.patch(ref, { data: { a: "2", extra: "3" } }, merge);
  await eventually(async () => (await kube.get(ref))?.["data"], (data) => same(data, { a: "1" }));
  const changed = metadataOf(await kube.get(ref))["uid"];
  await kube.delete(ref, { uid: String(changed), propagationPolicy: "Background" });

  await eventually(async () => (await kube.get(ref))?.["data"], (data) => same(data, { a: "1" }));
  const report = await agent.until(uid, (report) => isTrue(report, "Available"));
  expect(isTrue(report, "Applied", 1)).toBeTrue();
});

test("labels and finalizers of others stay, and a read-only object is only read", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf("ConfigMap", `mine-${uid}`);
  const seen = await refOf("ConfigMap", `seen-${uid}`);
  await kube.create(seen, configMap(seen.name, { token: "abc" }), manager);
  const spec = (value: string) => ({
    manifests: [
      { ...configMap(ref.name, { a: value }), metadata: named(ref.name, { ours: value }) },
      { apiVersion: "v1", kind: "ConfigMap", metadata: named(seen.name) },
    ],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: seen.name, namespace: "*" },
      updateStrategy: { type: "ReadOnly" },
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "data", path: ".data" }] }],
    }],
  });
  await agent.send(uid, 1, spec("1"));
  await agent.until(uid, (report) => isTrue(report, "Available", 1));
  await kube.patch(ref, {
    metadata: { labels: { theirs: "x" }, finalizers: ["test.io/theirs"] },
  }, merge);

  await agent.send(uid, 2, spec("2"));

  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(feedbackOf(report, 1)[0]?.fieldValue.jsonRaw).toBe('{"token":"abc"}');
  const metadata = metadataOf(await kube.get(ref));
  expect(metadata["labels"]).toEqual({ ours: "2", theirs: "x" });
  expect(metadata["finalizers"]).toEqual(["test.io/theirs"]);
  await kube.patch(seen, { data: { token: "def" } }, merge);
  await agent.until(
    uid,
    (report) => feedbackOf(report, 1)[0]?.fieldValue.jsonRaw === '{"token":"def"}',
  );
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);
});

test("a cluster-scoped object loses its wrong namespace, and a namespaced one without is refused", async () => {
  const uid = crypto.randomUUID();
  const role = {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: `role-${uid}`, namespace: "default" },
    rules: [],
  };
  const homeless = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: `homeless-${uid}` } };

  await agent.send(uid, 1, { manifests: [role, homeless] });

  const report = await agent.until(uid, () => true);
  expect(conditionOf(report, "Applied", 0)?.status).toBe("True");
  expect(report.status.resourceStatus?.[0]?.resourceMeta.namespace).toBe("");
  expect(conditionOf(report, "Applied", 1)?.message).toContain("namespace");
});

test("an executor may apply only what its account may do", async () => {
  const uid = crypto.randomUUID();
  const spec = (name: string) => ({
    manifests: [configMap(`executed-${uid}`, {})],
    executer: {
      subject: { type: "ServiceAccount", serviceAccount: { namespace: "default", name } },
    },
  });

  await agent.send(uid, 1, spec("nobody"));

  const report = await agent.until(uid, () => true);
  expect(conditionOf(report, "Applied", 0)?.message).toBe(
    `Failed to apply manifest: not allowed to apply the resource  configmaps, default ` +
      `executed-${uid}, will try again in 1m0s`,
  );
  expect(await kube.get(await refOf("ConfigMap", `executed-${uid}`))).toBeUndefined();
  const name = `executor-${uid}`;
  await kube.create(await refOf("ClusterRoleBinding", name), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", name, namespace: "default" }],
  }, manager);
  await agent.send(uid, 2, spec(name));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
});

const merge = { type: "merge", fieldManager: "test" } as const;
const manager = { fieldManager: "test" };

async function refOf(kind: string, name: string, namespace = "default"): Promise<ObjectRef> {
  const apiVersion = kind.startsWith("ClusterRole") ? "rbac.authorization.k8s.io/v1" : "v1";
  const type = await (kube as Kube).resolve(apiVersion, kind);
  if (type === undefined) throw new Error(`no type ${kind}`);
  return { type, name, namespace: type.isNamespaced ? namespace : "" };
}

async function ledgerRef(uid: string): Promise<ObjectRef> {
  const type = await kube.resolve("work.open-cluster-management.io/v1", "AppliedManifestWork");
  if (type === undefined) throw new Error("the agent did not install its type");
  return { type, namespace: "", name: `${hubHashOf(HUB)}-${uid}` };
}

function raw(report: Parameters<typeof feedbackOf>[0]): string {
  return feedbackOf(report)[0]?.fieldValue.jsonRaw ?? "";
}

function same(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b);
}

function named(name: string, labels: Record<string, string> = {}): JsonObject {
  return { name, namespace: "default", labels };
}

function namespaceOf(name: string): JsonObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

function deployment(name: string, replicas: number): JsonObject {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "none" }] } },
    },
  };
}

function definition(group: string): JsonObject {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind: "Thing", listKind: "ThingList", plural: "things", singular: "thing" },
      versions: [{
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            "x-kubernetes-preserve-unknown-fields": true,
          },
        },
      }],
    },
  };
}
