/** The agent on a real API server: what it applies, removes and reports. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, feedbackOf, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes({ pods: true });
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

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
  expect((await kube.get(await refOf(kube, "v1", "ConfigMap", kept)))?.["data"]).toEqual({
    a: "3",
  });
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", removed))).toBeUndefined();
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
  const ref = await refOf(kube, "v1", "ConfigMap", held.metadata.name);
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);
  const report = await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(conditionOf(report, "Deleted")).toMatchObject({
    reason: "ManifestsDeleted",
    message: "The manifests are deleted from the cluster cluster1",
  });
  expect(await kube.get(ref)).toBeUndefined();
  expect(await kube.get(await ledgerRef(kube, uid))).toBeUndefined();
});

test("the deletion of an unknown work is confirmed, even if it names no version", async () => {
  const uid = crypto.randomUUID();

  await agent.delete(uid);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
});

test("A97: a job with a selector of its own runs under plain updates, and its pods go with the work", async () => {
  const uid = crypto.randomUUID();
  const labels = { job: uid };
  const job = (minutes: number) => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: `j-${uid}`, namespace: "default" },
    spec: {
      manualSelector: true,
      selector: { matchLabels: labels },
      activeDeadlineSeconds: 60 * minutes,
      template: {
        metadata: { labels },
        spec: { restartPolicy: "Never", containers: [{ name: "c", image: "none" }] },
      },
    },
  });
  const pods = async () => {
    const type = await kube.resolve("v1", "Pod");
    if (type === undefined) throw new Error("no pods");
    return (await kube.list(type, "default", { labelSelector: `job=${uid}` })).items.length;
  };
  await agent.send(uid, 1, { manifests: [job(10)] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await eventually(pods, (count) => count === 1);

  await agent.send(uid, 2, { manifests: [job(20)] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  await agent.delete(uid, 2);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  await eventually(pods, (count) => count === 0);
});

test("M5, W8: no late update brings back a work that is being deleted", async () => {
  const uid = crypto.randomUUID();
  const held = configMap(`late-${uid}`, {});
  const finalized = { ...held, metadata: { ...held.metadata, finalizers: ["test.io/hold"] } };
  await agent.send(uid, 1, { manifests: [finalized] });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await agent.delete(uid, 1);
  await agent.until(uid, (report) => isTrue(report, "Deleting"));

  await agent.send(uid, 2, { manifests: [configMap(`other-${uid}`, {})] });
  const ref = await refOf(kube, "v1", "ConfigMap", held.metadata.name);
  await kube.patch(ref, { metadata: { finalizers: null } }, merge);

  await agent.until(uid, (report) => isTrue(report, "Deleted"));
  expect(await kube.get(ref)).toBeUndefined();
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `other-${uid}`))).toBeUndefined();
});

test("an object of two works stays until the last of them goes", async () => {
  const [first, second] = [crypto.randomUUID(), crypto.randomUUID()];
  const shared = { manifests: [configMap(`shared-${first}`, { a: "1" })] };
  await agent.send(first, 1, shared);
  await agent.until(first, (report) => isTrue(report, "Applied", 1));
  await agent.send(second, 1, shared);
  await agent.until(second, (report) => isTrue(report, "Applied", 1));
  const ref = await refOf(kube, "v1", "ConfigMap", `shared-${first}`);
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

  const live = await kube.get(await refOf(kube, "v1", "ConfigMap", `orphan-${uid}`));
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
  await kube.create(
    await refOf(kube, "v1", "Namespace", namespace),
    namespaceOf(namespace),
    WRITER,
  );
  await agent.until(uid, (report) => isTrue(report, "Applied") && isTrue(report, "Available"));
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
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `good-${uid}`))).toBeDefined();
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
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `old-${uid}`))).toBeUndefined();
  const ledger = await kube.get(await ledgerRef(kube, uid));
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
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `a-${uid}`))).toBeUndefined();
  expect(await kube.get(await refOf(kube, "v1", "ConfigMap", `b-${uid}`))).toBeDefined();
});

const merge = { type: "merge", fieldManager: "test" } as const;

function raw(report: Parameters<typeof feedbackOf>[0]): string {
  return feedbackOf(report)[0]?.fieldValue.jsonRaw ?? "";
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
