/** What a first write of a life changes, by a real API server's audit log: nothing, if nothing is to change. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { RECORD_ANNOTATION } from "../../src/lib/work/record.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { AUDITED, auditedWrites } from "../harness/audit.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { type AgentUnderTest, configMap, isTrue, ledgerRef, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes(AUDITED);
const kube = await openKubeconfig(cluster.kubeconfig);

afterAll(() => cluster[Symbol.asyncDispose](), 20_000);

const mapRef = (name: string) => refOf(kube, "v1", "ConfigMap", name);

const labels = { app: "web" };
const deployment = (name: string, spec: JsonObject = {}): JsonObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: "default" },
  spec: {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { containers: [{ name: "web", image: "nginx" }] },
    },
    ...spec,
  },
});

const serverSide = (name: string, resource = "configmaps", group = ""): JsonObject => ({
  resourceIdentifier: { group, resource, name, namespace: "default" },
  updateStrategy: { type: "ServerSideApply" },
});

/** Applies a work, then takes away what this agent would remember of it. */
async function leaveBehind(uid: string, spec: JsonObject): Promise<void> {
  {
    await using agent = await startAgent(kube, { hub: `hub-${uid}` });
    await agent.send(uid, 1, spec);
    await agent.until(uid, (report) => isTrue(report, "Available", 1));
  }
  const record = { metadata: { annotations: { [RECORD_ANNOTATION]: null } } };
  await kube.patch(await ledgerRef(kube, uid, `hub-${uid}`), record, { type: "merge", ...WRITER });
}

/** What the agent writes to the named objects while it takes a version in. */
async function writesOf(
  uid: string,
  name: string,
  version: number,
  spec: JsonObject,
  meanwhile: (agent: AgentUnderTest) => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const before = (await auditedWrites(cluster.directory)).length;
  await using agent = await startAgent(kube, { hub: `hub-${uid}` });
  await agent.send(uid, version, spec);
  await agent.until(uid, (report) => isTrue(report, "Available", version));
  await meanwhile(agent);
  const all = (await auditedWrites(cluster.directory)).slice(before);
  return all.filter((write) => write.name === name).map(({ verb }) => verb);
}

for (const strategy of ["Update", "ServerSideApply"]) {
  test(`an object that is as its manifest wants it is not written when it is taken over (${strategy})`, async () => {
    const uid = crypto.randomUUID();
    const name = `web-${uid}`;
    const manifestConfigs = strategy === "Update" ? [] : [serverSide(name, "deployments", "apps")];
    const spec = { manifests: [deployment(name)], manifestConfigs };
    await leaveBehind(uid, spec);

    expect(await writesOf(uid, name, 1, spec)).toEqual([]);
  });

  test(`what a manifest no longer names is gone after a take-over (${strategy})`, async () => {
    const uid = crypto.randomUUID();
    const name = `web-${uid}`;
    const manifestConfigs = strategy === "Update" ? [] : [serverSide(name, "deployments", "apps")];
    const before = { manifests: [deployment(name, { minReadySeconds: 7 })], manifestConfigs };
    await leaveBehind(uid, before);

    const writes = await writesOf(uid, name, 2, { manifests: [deployment(name)], manifestConfigs });

    expect(writes).toEqual([strategy === "Update" ? "update" : "patch"]);
    const live = await kube.get(await refOf(kube, "apps/v1", "Deployment", name));
    expect(live?.["spec"]).not.toHaveProperty("minReadySeconds");
  });
}

test("a field that a manifest no longer applies is given up, though another manager keeps it", async () => {
  const uid = crypto.randomUUID();
  const name = `shared-${uid}`;
  const manifestConfigs = [serverSide(name)];
  await leaveBehind(uid, { manifests: [configMap(name, { a: "1", b: "1" })], manifestConfigs });
  const theirs = configMap(name, { b: "1" });
  await kube.patch(await mapRef(name), theirs, { type: "apply", fieldManager: "other" });

  const spec = { manifests: [configMap(name, { a: "1" })], manifestConfigs };
  expect(await writesOf(uid, name, 2, spec)).toEqual(["patch"]);

  // So the other may change it as it likes.
  const changed = configMap(name, { b: "2" });
  await kube.patch(await mapRef(name), changed, { type: "apply", fieldManager: "other" });
  expect((await kube.get(await mapRef(name)))?.["data"]).toEqual({ a: "1", b: "2" });
});

test("an object that somebody made anew under the name of a listed one gets what its manifest says", async () => {
  const uid = crypto.randomUUID();
  const name = `anew-${uid}`;
  const spec = { manifests: [configMap(name, { a: "1" })] };
  await leaveBehind(uid, spec);
  const ref = await mapRef(name);
  const first = metadataOf(await kube.get(ref));
  await kube.delete(ref, { uid: String(first["uid"]), propagationPolicy: "Background" });
  await kube.create(ref, configMap(name, { a: "other" }), WRITER);

  expect(await writesOf(uid, name, 1, spec)).toEqual(["update"]);
  const owners = metadataOf(await kube.get(ref))["ownerReferences"];
  expect(owners).toHaveLength(1);
});

test("a cluster that refuses dry runs gets the write", async () => {
  const uid = crypto.randomUUID();
  const name = `refused-${uid}`;
  await leaveBehind(uid, { manifests: [configMap(name, { a: "1" })] });
  const policyName = `no-dry-runs-${uid}`;
  const policy = await refOf(
    kube,
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicy",
    policyName,
  );
  const binding = await refOf(
    kube,
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding",
    policyName,
  );
  const rule = {
    apiGroups: [""],
    apiVersions: ["v1"],
    operations: ["UPDATE"],
    resources: ["configmaps"],
    resourceNames: [name],
  };
  await kube.create(policy, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: policyName },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: { resourceRules: [rule] },
      validations: [{ expression: "!request.dryRun", message: "no dry runs" }],
    },
  }, WRITER);
  await kube.create(binding, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: policyName },
    spec: { policyName, validationActions: ["Deny"] },
  }, WRITER);
  // A policy counts a moment after it is made.
  await eventually(
    async () => {
      const live = await kube.get(await mapRef(name));
      const options = { ...WRITER, isDryRun: true };
      return await kube.replace(await mapRef(name), live ?? {}, options).then(() => "", String);
    },
    (refusal) => refusal.includes("no dry runs"),
    { timeoutMs: 20_000 },
  );

  const writes = await writesOf(uid, name, 2, { manifests: [configMap(name, { a: "2" })] });

  expect(writes).toEqual(["update"]);
  expect((await kube.get(await mapRef(name)))?.["data"]).toEqual({ a: "2" });
}, 30_000);
