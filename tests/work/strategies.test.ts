/** How manifests reach a real API server: strategies, kinds and drift. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { thingDefinition } from "./manifests.ts";
import { conditionOf, configMap, feedbackOf, isTrue, startAgent } from "./one_agent.ts";
import { job, workload } from "./ruled_objects.ts";

const cluster = await startKubernetes({ pods: true });
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

test("a definition and an object of the new kind travel in one work, in either order", async () => {
  const uid = crypto.randomUUID();
  const group = `g${uid.slice(0, 8)}.test.io`;
  const thing = {
    apiVersion: `${group}/v1`,
    kind: "Thing",
    metadata: { name: "one", namespace: "default" },
    spec: { big: 0 },
  };
  const text = JSON.stringify({ manifests: [thing, thingDefinition(group)] })
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

test("M18, W1: an update strategy that nobody knows is refused by name, and the other manifests go on", async () => {
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

test("A33: a field of another manager is a conflict that names both, and gone with the field", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `conflict-${uid}`);
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
  expect(conditionOf(refused, "Applied", 0)?.message).toBe(
    'Failed to apply manifest: Apply failed with 1 conflict: conflict with "other": .data.a ' +
      '(.data.a is set by "other"; leave it out of the manifest, or take it over with ' +
      "serverSideApply.force)",
  );
  expect(conditionOf(refused, "Available", 0)?.status).toBe("True");
  await agent.send(uid, 2, spec({ b: "ours" }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "theirs", b: "ours" });
});

test("W23: an object that somebody changes or deletes is soon as the work wants it", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `drift-${uid}`);
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

test("A31, A111: labels and finalizers of others stay, and a read-only object is only read", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `mine-${uid}`);
  const seen = await refOf(kube, "v1", "ConfigMap", `seen-${uid}`);
  await kube.create(seen, configMap(seen.name, { token: "abc" }), WRITER);
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

test("W20: a cluster-scoped object loses its wrong namespace, and a namespaced one without is refused", async () => {
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

test("A30: a create-only object keeps what others wrote, and comes back if it is deleted", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `once-${uid}`);
  const spec = (value: string) => ({
    manifests: [configMap(ref.name, { a: value })],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: "once-*", namespace: "*" },
      updateStrategy: { type: "CreateOnly" },
    }],
  });
  await agent.send(uid, 1, spec("1"));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await agent.send(uid, 2, spec("2"));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  const kept = await kube.get(ref);
  await kube.delete(ref, {
    uid: String(metadataOf(kept)["uid"]),
    propagationPolicy: "Background",
  });

  expect(kept?.["data"]).toEqual({ a: "1" });
  await eventually(async () => (await kube.get(ref))?.["data"], (data) => same(data, { a: "2" }));
});

test("an ignored field is sent once and then left to others, the rest follows the work", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `ignored-${uid}`);
  const spec = (data: Record<string, string>) => ({
    manifests: [configMap(ref.name, data)],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: "ignored-*", namespace: "*" },
      updateStrategy: {
        type: "ServerSideApply",
        serverSideApply: { force: true, ignoreFields: [{ jsonPaths: [".data.theirs"] }] },
      },
    }],
  });
  await agent.send(uid, 1, spec({ theirs: "first", ours: "1" }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await kube.patch(ref, { data: { theirs: "changed" } }, merge);

  await agent.send(uid, 2, spec({ theirs: "first", ours: "2" }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  expect((await kube.get(ref))?.["data"]).toEqual({ theirs: "changed", ours: "2" });
});

test("a finished job that the cluster has cleaned up is not run again, nor after a restart", async () => {
  const uid = crypto.randomUUID();
  const hub = `jobs-${uid}:1`;
  const ref = await refOf(kube, "batch/v1", "Job", `job-${uid}`);
  const spec = {
    manifests: [job(ref.name)],
    manifestConfigs: [{
      resourceIdentifier: { group: "batch", resource: "jobs", name: "*", namespace: "*" },
      conditionRules: [{ condition: "Complete", type: "WellKnownConditions" }],
    }],
  };
  {
    await using first = await startAgent(kube, { hub });
    await first.send(uid, 1, spec);
    const done = await first.until(uid, (report) => isTrue(report, "Complete", 1));
    expect(conditionOf(done, "Complete", 0)?.message).toBe("Job is finished");
    const live = metadataOf(await kube.get(ref))["uid"];
    await kube.delete(ref, { uid: String(live), propagationPolicy: "Background" });
    await first.until(uid, (report) => conditionOf(report, "Available")?.status === "False");
    await Bun.sleep(500);
    expect(await kube.get(ref)).toBeUndefined();
  }

  await using second = await startAgent(kube, { hub });
  await second.send(uid, 1, spec);
  const report = await second.until(uid, () => true);

  expect(isTrue(report, "Complete", 1)).toBeTrue();
  expect(await kube.get(ref)).toBeUndefined();
});

test("a field that an update no longer names is gone from the object", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "apps/v1", "Deployment", `fields-${uid}`);
  const manifest = workload("Deployment", ref.name);
  const spec = (extra: JsonObject) => ({
    manifests: [{
      ...manifest,
      spec: { ...manifest["spec"] as JsonObject, replicas: 0, ...extra },
    }],
  });
  await agent.send(uid, 1, spec({ minReadySeconds: 7 }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const before = (await kube.get(ref))?.["spec"] as JsonObject;

  await agent.send(uid, 2, spec({}));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  expect(before["minReadySeconds"]).toBe(7);
  const after = (await kube.get(ref))?.["spec"] as JsonObject;
  expect(after["minReadySeconds"]).toBeUndefined();
});

test("a Deployment that has become ready has nothing more to report", async () => {
  const uid = crypto.randomUUID();
  const name = `ready-${uid}`;
  await agent.send(uid, 1, { manifests: [workload("Deployment", name)] });

  const report = await agent.until(uid, (report) => isTrue(report, "Ready", 1));

  const count = agent.reports.filter((report) => report.uid === uid).length;
  // Another work that becomes ready is proof that anything more would have come.
  const other = crypto.randomUUID();
  await agent.send(other, 1, { manifests: [job(`after-${other}`)] });
  await agent.until(other, (report) => isTrue(report, "Ready", 1));
  expect(conditionOf(report, "Ready", 0)?.message).toBe("1 of 1 replicas are available");
  expect(agent.reports.filter((report) => report.uid === uid)).toHaveLength(count);
});

test("W11: a service keeps the address that the cluster gave it", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "Service", `s-${uid.slice(0, 8)}`);
  const spec = (port: number) => ({
    manifests: [{
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: ref.name, namespace: "default" },
      spec: { selector: { a: "b" }, ports: [{ port }] },
    }],
  });
  await agent.send(uid, 1, spec(80));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  const before = await kube.get(ref);

  await agent.send(uid, 2, spec(81));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));

  const after = (await kube.get(ref))?.["spec"] as { clusterIP: string; ports: { port: number }[] };
  expect(after.clusterIP).toBe((before?.["spec"] as { clusterIP: string }).clusterIP);
  expect(after.ports.map(({ port }) => port)).toEqual([81]);
});

test("M21: an object that others deleted and made anew has a new status", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `again-${uid}`);
  await agent.send(uid, 1, {
    manifests: [configMap(ref.name, {})],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: "again-*", namespace: "*" },
      updateStrategy: { type: "ReadOnly" },
      feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "uid", path: ".metadata.uid" }] }],
    }],
  });
  await agent.until(uid, (report) => conditionOf(report, "Available")?.status === "False");
  const value = (report: Parameters<typeof feedbackOf>[0]) =>
    feedbackOf(report)[0]?.fieldValue.string;

  const first = String(metadataOf(await kube.create(ref, configMap(ref.name, {}), WRITER))["uid"]);
  await agent.until(uid, (report) => value(report) === first);
  await kube.delete(ref, { uid: first, propagationPolicy: "Background" });
  const second = String(metadataOf(await kube.create(ref, configMap(ref.name, {}), WRITER))["uid"]);

  await agent.until(uid, (report) => value(report) === second && isTrue(report, "Available"));
});

const merge = { type: "merge", fieldManager: "test" } as const;

function same(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b);
}

function named(name: string, labels: Record<string, string> = {}): JsonObject {
  return { name, namespace: "default", labels };
}
