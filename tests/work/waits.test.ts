/** Manifests that cannot be applied yet are applied when what they wait for comes, without trying all the time. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { definition, openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
// So patient that no attempt comes by itself while the tests run.
const agent = await startAgent(kube, {
  pace: {
    drift: { calmMs: 120_000, backoff: { firstMs: 50, factor: 3, ceilingMs: 300_000 } },
    retry: { firstMs: 600_000, factor: 1, ceilingMs: 600_000 },
  },
});

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const failed = (uid: string, ordinal = 0) =>
  agent.until(uid, (report) => conditionOf(report, "Applied", ordinal)?.status === "False");

const applied = (uid: string, version = 1) =>
  agent.until(uid, (report) => isTrue(report, "Applied", version));

async function createNamespace(name: string): Promise<void> {
  const ref = await refOf(kube, "v1", "Namespace", name);
  await kube.create(ref, { apiVersion: "v1", kind: "Namespace", metadata: { name } }, WRITER);
}

test("W29: a manifest whose namespace is missing is applied when somebody makes it", async () => {
  const uid = crypto.randomUUID();
  const names = Array.from({ length: 6 }, (_, i) => `late-${i}-${uid}`);
  await agent.send(uid, 1, { manifests: names.map((name) => configMap("one", { a: "1" }, name)) });
  await failed(uid, 5);

  for (const name of names) await createNamespace(name);

  const report = await applied(uid);
  expect(report.status.resourceStatus).toHaveLength(6);
}, 20_000);

test("W29: a manifest whose kind is not known is applied when somebody defines it", async () => {
  const uid = crypto.randomUUID();
  const kind = `Late${uid.slice(0, 8)}`;
  await agent.send(uid, 1, {
    manifests: [{ apiVersion: "tests.example.com/v1", kind, metadata: { name: `one-${uid}` } }],
  });
  const refused = await failed(uid);
  expect(conditionOf(refused, "Applied", 0)?.message).toContain(
    `the server doesn't have a resource type "${kind}"`,
  );

  const manifest = definition(kind);
  const name = String(metadataOf(manifest)["name"]);
  const ref = await refOf(kube, "apiextensions.k8s.io/v1", "CustomResourceDefinition", name);
  await kube.create(ref, manifest, WRITER);

  await applied(uid);
}, 20_000);

test("W29: a field that somebody else gave up is applied, without waiting for the next attempt", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `taken-${uid}`);
  const theirs = (data: JsonObject) => ({ ...configMap(ref.name, {}), data });
  const options = { type: "apply" as const, fieldManager: "other" };
  await kube.patch(ref, theirs({ a: "theirs" }), options);
  await agent.send(uid, 1, {
    manifests: [configMap(ref.name, { a: "ours" })],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "configmaps", name: ref.name, namespace: "*" },
      updateStrategy: { type: "ServerSideApply" },
    }],
  });
  const refused = await failed(uid);
  expect(conditionOf(refused, "Applied", 0)?.message).toContain("conflict");

  await kube.patch(ref, theirs({ b: "theirs" }), options);

  await applied(uid);
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "ours", b: "theirs" });
});

test("W29: an object that may not be changed so is replaced once somebody has removed it", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "ConfigMap", `fixed-${uid}`);
  await kube.create(ref, { ...configMap(ref.name, { a: "1" }), immutable: true }, WRITER);
  await agent.send(uid, 1, { manifests: [configMap(ref.name, { a: "2" })] });
  const refused = await failed(uid);
  expect(conditionOf(refused, "Applied", 0)?.message).toContain("immutable");

  await remove(ref);

  await applied(uid);
  expect((await kube.get(ref))?.["data"]).toEqual({ a: "2" });
});

async function remove(ref: ObjectRef): Promise<void> {
  const uid = String(metadataOf(await kube.get(ref))["uid"]);
  await kube.delete(ref, { uid, propagationPolicy: "Background" });
  await eventually(async () => metadataOf(await kube.get(ref))["uid"] !== uid);
}
