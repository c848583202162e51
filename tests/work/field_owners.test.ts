/** Server-side apply and read-only objects on a real API server, by the numbers of the checklist. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { deploymentOf } from "./manifests.ts";
import { conditionOf, configMap, feedbackOf, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const WHATEVER = { name: "*", namespace: "*" };
const DEPLOYMENTS = { group: "apps", resource: "deployments", ...WHATEVER };

/** A work of one manifest that is applied by the server. */
function serverSide(
  manifest: JsonObject,
  serverSideApply: JsonObject = {},
  resourceIdentifier: JsonObject = DEPLOYMENTS,
): JsonObject {
  return {
    manifests: [manifest],
    manifestConfigs: [{
      resourceIdentifier,
      updateStrategy: { type: "ServerSideApply", serverSideApply },
    }],
  };
}

const readDeployment = async (name: string) =>
  await kube.get(await refOf(kube, "apps/v1", "Deployment", name));
const specOf = (object: JsonObject | undefined) => (object?.["spec"] ?? {}) as JsonObject;
const applied = (uid: string, version: number) =>
  agent.until(uid, (report) => isTrue(report, "Applied", version));

test("A32, W17: a change is applied by the server, and the owner travels with the object", async () => {
  const uid = crypto.randomUUID();
  const name = `d-${uid}`;
  await agent.send(uid, 1, serverSide(deploymentOf(name, { replicas: 1 })));
  await applied(uid, 1);

  await agent.send(uid, 2, serverSide(deploymentOf(name, { replicas: 2 })));
  await applied(uid, 2);

  const live = await readDeployment(name);
  expect(specOf(live)["replicas"]).toBe(2);
  const { managedFields, ownerReferences } = metadataOf(live);
  expect(ownerReferences).toBeArrayOfSize(1);
  expect((managedFields as JsonObject[]).map(({ manager, operation }) => [manager, operation]))
    .toEqual([["work-agent", "Apply"]]);
});

test("A34: of two managers each changes what it owns, and is refused what the other has taken", async () => {
  const [uid, another] = [crypto.randomUUID(), crypto.randomUUID()];
  const name = `d-${uid}`;
  const first = (replicas: number, image: string) =>
    serverSide(deploymentOf(name, { replicas }, { image }));
  const second = (image: string) =>
    serverSide(deploymentOf(name, {}, { image }), {
      fieldManager: "work-agent-another",
      force: true,
    });
  await agent.send(uid, 1, first(1, "one"));
  await applied(uid, 1);
  await agent.send(another, 1, second("two"));
  await applied(another, 1);

  await agent.send(uid, 2, first(2, "three"));
  const refused = await agent.until(uid, (report) => report.version === 2);
  await agent.send(uid, 3, first(3, "two"));
  await applied(uid, 3);
  await agent.send(another, 2, second("two"));
  await applied(another, 2);

  expect(conditionOf(refused, "Applied", 0)?.status).toBe("False");
  expect(conditionOf(refused, "Applied", 0)?.message).toContain('"work-agent-another"');
  expect(specOf(await readDeployment(name))["replicas"]).toBe(3);
});

test("A35: an object that two works apply has two owners, until one of them orphans it", async () => {
  const [uid, another] = [crypto.randomUUID(), crypto.randomUUID()];
  const name = `d-${uid}`;
  const work = serverSide(deploymentOf(name, {}));
  await agent.send(uid, 1, work);
  await applied(uid, 1);
  await agent.send(another, 1, work);
  await applied(another, 1);
  const both = metadataOf(await readDeployment(name))["ownerReferences"];

  await agent.send(another, 2, { ...work, deleteOption: { propagationPolicy: "Orphan" } });
  await applied(another, 2);

  expect(both).toBeArrayOfSize(2);
  const left = metadataOf(await readDeployment(name))["ownerReferences"] as JsonObject[];
  expect(left.map((owner) => String(owner["name"]).endsWith(uid))).toEqual([true]);
});

test("A41, A112: a nested work with empty times stays at generation 1, however often it is applied", async () => {
  const uid = crypto.randomUUID();
  const group = "work.open-cluster-management.io";
  const preserved = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const manifests = {
    type: "array",
    items: { ...preserved, "x-kubernetes-embedded-resource": true },
  };
  const workload = { type: "object", properties: { manifests } };
  const spec = { type: "object", properties: { workload } };
  await agent.send(crypto.randomUUID(), 1, {
    manifests: [{
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: {
        name: `manifestworks.${group}`,
        annotations: {
          "api-approved.kubernetes.io": "https://github.com/open-cluster-management-io/api",
        },
      },
      spec: {
        group,
        scope: "Namespaced",
        names: { kind: "ManifestWork", plural: "manifestworks" },
        versions: [{
          name: "v1",
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: "object", properties: { spec } } },
        }],
      },
    }],
  });
  const inner = { ...configMap("inner", {}), metadata: { name: "inner", creationTimestamp: null } };
  const nested = {
    apiVersion: `${group}/v1`,
    kind: "ManifestWork",
    metadata: { name: `n-${uid}`, namespace: "default", creationTimestamp: null },
    spec: { workload: { manifests: [inner] } },
  };
  const identifier = { group, resource: "manifestworks", ...WHATEVER };

  for (const version of [1, 2, 3]) {
    // Another manager's name each time: the manifest is applied, and not just compared.
    const manager = `work-agent-${version}`;
    await agent.send(
      uid,
      version,
      serverSide(nested, { force: true, fieldManager: manager }, identifier),
    );
    await applied(uid, version);
  }

  const live = await kube.get(await refOf(kube, `${group}/v1`, "ManifestWork", `n-${uid}`));
  expect(metadataOf(live)["generation"]).toBe(1);
  expect((metadataOf(live)["managedFields"] as unknown[]).length).toBe(3);
});

test("A42: of several options that match, the first one's feedback is read, and follows edits", async () => {
  const uid = crypto.randomUUID();
  const names = [`one-${uid}`, `two-${uid}`];
  for (const name of names) {
    await kube.create(
      await refOf(kube, "v1", "ConfigMap", name),
      configMap(name, { a: name, b: "no" }),
      WRITER,
    );
  }
  const config = (pattern: string, key: string) => ({
    resourceIdentifier: { group: "", resource: "configmaps", name: pattern, namespace: "*" },
    updateStrategy: { type: "ReadOnly" },
    feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: key, path: `.data.${key}` }] }],
  });
  await agent.send(uid, 1, {
    manifests: names.map((name) => configMap(name, {})),
    manifestConfigs: [config("*", "a"), config("one-*", "b")],
  });

  const values = (report: Parameters<typeof feedbackOf>[0]) =>
    [0, 1].map((ordinal) => feedbackOf(report, ordinal).map(({ fieldValue }) => fieldValue.string));
  await agent.until(uid, (report) => Bun.deepEquals(values(report), names.map((name) => [name])));
  await kube.patch(await refOf(kube, "v1", "ConfigMap", String(names[1])), { data: { a: "new" } }, {
    type: "merge",
    fieldManager: "others",
  });
  await agent.until(uid, (report) => Bun.deepEquals(values(report), [[names[0]], ["new"]]));
});
