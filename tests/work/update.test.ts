/** What becomes of an object that others write too, kind by kind, on a real API server. */

import { afterAll, expect, test } from "bun:test";
import { isObject, type JsonObject } from "../../src/lib/json.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { DRIFTS, podOf } from "./drifts.ts";
import { deploymentOf, named } from "./manifests.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);
const others = { type: "merge", fieldManager: "others" } as const;

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

/** Sends one manifest and waits until it is applied. */
async function send(uid: string, version: number, manifest: JsonObject): Promise<void> {
  await agent.send(uid, version, { manifests: [manifest] });
  await agent.until(uid, (report) => isTrue(report, "Applied", version));
}

async function refused(uid: string, version: number, manifest: JsonObject): Promise<string> {
  await agent.send(uid, version, { manifests: [manifest] });
  const report = await agent.until(uid, (report) => report.version === version);
  expect(conditionOf(report, "Applied", 0)?.status).toBe("False");
  return conditionOf(report, "Applied", 0)?.message ?? "";
}

function at(object: JsonObject | undefined, path: string): unknown {
  return path.split(".").reduce<unknown>(
    (value, key) => (value as JsonObject | undefined)?.[key],
    object,
  );
}

await kube.create(await refOf(kube, "v1", "ServiceAccount", "default"), {
  ...named("v1", "ServiceAccount", "default"),
  automountServiceAccountToken: false,
}, WRITER);

for (const { what, manifest, edit, path, expected } of DRIFTS) {
  test(`W11: ${what} is set right again`, async () => {
    const uid = crypto.randomUUID();
    const wanted = manifest(`d-${uid.slice(0, 8)}`);
    await send(uid, 1, wanted);
    const name = String(metadataOf(wanted)["name"]);
    const ref = await refOf(kube, String(wanted["apiVersion"]), String(wanted["kind"]), name);
    const before = metadataOf(await kube.get(ref));

    await kube.patch(ref, edit, others);

    const found = await eventually(
      () => kube.get(ref),
      (live) => Bun.deepEquals(at(live, path), expected),
    );
    expect(metadataOf(found)["uid"]).toBe(before["uid"]);
    expect(at(found, path)).toEqual(expected);
  });
}

test("W11: what a Pod does not let through is refused in words", async () => {
  const uid = crypto.randomUUID();
  await send(uid, 1, podOf(`p-${uid}`));

  const message = await refused(uid, 2, podOf(`p-${uid}`, { nodeSelector: { disk: "fast" } }));

  expect(message).toContain("pod updates may not change fields other than");
  expect(message).toContain(
    "(spec cannot be changed: put back the old value, or delete the object",
  );
});

test("W10: what an autoscaler, an injector and the server have set stays when the manifest changes", async () => {
  const uid = crypto.randomUUID();
  const manifest = (env: string[], spec: JsonObject = {}) =>
    deploymentOf(`d-${uid}`, spec, { env: env.map((name) => ({ name, value: "1" })) });
  await send(uid, 1, manifest(["A", "B"], { minReadySeconds: 5 }));
  const ref = await refOf(kube, "apps/v1", "Deployment", `d-${uid}`);
  await kube.patch(ref, { spec: { replicas: 5 } }, others);
  const containers = [
    { name: "c", env: [{ name: "THEIRS", value: "1" }] },
    { name: "sidecar", image: "injected" },
  ];
  await kube.patch(
    ref,
    { apiVersion: "apps/v1", kind: "Deployment", spec: { template: { spec: { containers } } } },
    { type: "apply", fieldManager: "injector" },
  );

  await send(uid, 2, manifest(["A"]));

  const live = await kube.get(ref);
  expect(at(live, "spec.replicas")).toBe(5);
  expect(at(live, "spec.minReadySeconds")).toBeUndefined();
  expect(at(live, "spec.template.spec.containers.1.image")).toBe("injected");
  const env = at(live, "spec.template.spec.containers.0.env") as JsonObject[];
  expect(env.map(({ name }) => name)).toEqual(["A", "THEIRS"]);
});

test("W10: a Job without a selector of its own takes another version", async () => {
  const uid = crypto.randomUUID();
  const job = (parallelism: number) => ({
    ...named("batch/v1", "Job", `j-${uid}`),
    spec: {
      parallelism,
      template: {
        metadata: { labels: { app: "j" } },
        spec: { restartPolicy: "Never", containers: [{ name: "c", image: "none" }] },
      },
    },
  });
  await send(uid, 1, job(1));

  await send(uid, 2, job(2));

  const live = await kube.get(await refOf(kube, "batch/v1", "Job", `j-${uid}`));
  expect(at(live, "spec.parallelism")).toBe(2);
});

const secretOf = (name: string, more: JsonObject, namespace = "default") => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace },
  ...more,
});

test("a Secret of another type, or one that may not be changed, is made anew with its owner", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "Secret", `s-${uid}`);
  await send(uid, 1, secretOf(ref.name, { stringData: { a: "1" } }));
  const first = metadataOf(await kube.get(ref));

  await send(uid, 2, secretOf(ref.name, { type: "test/other", stringData: { a: "1" } }));
  const second = await kube.get(ref);
  expect(second?.["type"]).toBe("test/other");
  expect(metadataOf(second)["uid"]).not.toBe(first["uid"]);
  expect(metadataOf(second)["ownerReferences"]).toEqual(first["ownerReferences"]);

  const immutable = (a: string) =>
    secretOf(ref.name, { type: "test/other", immutable: true, stringData: { a } });
  await send(uid, 3, immutable("1"));
  await send(uid, 4, immutable("2"));
  expect(at(await kube.get(ref), "data.a")).toBe(btoa("2"));
});

test("an object that could not be made anew is not deleted", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(kube, "v1", "Secret", `s-${uid}`);
  const group = "admissionregistration.k8s.io/v1";
  const create = async (kind: string, spec: JsonObject) =>
    await kube.create(
      await refOf(kube, group, kind, `p-${uid}`),
      { apiVersion: group, kind, metadata: { name: `p-${uid}` }, spec },
      WRITER,
    );
  await create("ValidatingAdmissionPolicy", {
    matchConstraints: {
      resourceRules: [{
        apiGroups: [""],
        apiVersions: ["v1"],
        operations: ["CREATE"],
        resources: ["secrets"],
      }],
    },
    validations: [{ expression: "object.type != 'test/forbidden'" }],
  });
  await create("ValidatingAdmissionPolicyBinding", {
    policyName: `p-${uid}`,
    validationActions: ["Deny"],
  });
  const forbidden = secretOf(ref.name, { type: "test/forbidden" });
  const isForbidden = () =>
    kube.create(ref, forbidden, { ...WRITER, isDryRun: true }).then(() => false, () => true);
  await eventually(isForbidden, Boolean);
  await send(uid, 1, secretOf(ref.name, { stringData: { a: "1" } }));
  const before = metadataOf(await kube.get(ref))["uid"];

  const message = await refused(uid, 2, forbidden);

  expect(message).toContain(`p-${uid}`);
  expect(metadataOf(await kube.get(ref))["uid"]).toBe(before);
});

test("a StorageClass with other parameters is made anew, and stays the default if it was", async () => {
  const uid = crypto.randomUUID();
  const mark = "storageclass.kubernetes.io/is-default-class";
  const manifest = (disk: string) => ({
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: `c-${uid}` },
    provisioner: "test.io/none",
    parameters: { disk },
  });
  await send(uid, 1, manifest("slow"));
  const ref = await refOf(kube, "storage.k8s.io/v1", "StorageClass", `c-${uid}`);
  await kube.patch(ref, { metadata: { annotations: { [mark]: "false" } } }, others);

  await send(uid, 2, manifest("fast"));

  const live = await kube.get(ref);
  expect(live?.["parameters"]).toEqual({ disk: "fast" });
  expect(metadataOf(live)["annotations"]).toEqual({ [mark]: "false" });
});

test("certificates that a controller puts into webhooks and ConfigMaps stay", async () => {
  const uid = crypto.randomUUID();
  const bundle = btoa("a certificate");
  const hooks = (path: string) => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: `w-${uid}` },
    webhooks: [{
      name: "none.test.io",
      clientConfig: { service: { name: "none", namespace: "default", path } },
      rules: [{
        apiGroups: ["none.test.io"],
        apiVersions: ["v1"],
        operations: ["CREATE"],
        resources: ["nones"],
      }],
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      failurePolicy: "Ignore",
    }],
  });
  const trusted = (value: string) => ({
    ...configMap(`m-${uid}`, { value }),
    metadata: {
      name: `m-${uid}`,
      namespace: "default",
      labels: { "config.openshift.io/inject-trusted-cabundle": "true" },
    },
  });
  const both = async (version: number, text: string) => {
    await agent.send(uid, version, { manifests: [hooks(`/${text}`), trusted(text)] });
    await agent.until(uid, (report) => isTrue(report, "Applied", version));
  };
  await both(1, "one");
  const hook = await refOf(
    kube,
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    `w-${uid}`,
  );
  const map = await refOf(kube, "v1", "ConfigMap", `m-${uid}`);
  const [webhook] = (await kube.get(hook))?.["webhooks"] as [JsonObject];
  const clientConfig = isObject(webhook["clientConfig"]) ? webhook["clientConfig"] : {};
  const webhooks = [{ ...webhook, clientConfig: { ...clientConfig, caBundle: bundle } }];
  await kube.patch(hook, { webhooks }, others);
  await kube.patch(map, { data: { "ca-bundle.crt": bundle } }, others);

  await both(2, "two");

  expect(at(await kube.get(hook), "webhooks.0.clientConfig.caBundle")).toBe(bundle);
  expect(at(await kube.get(hook), "webhooks.0.clientConfig.service.path")).toBe("/two");
  expect((await kube.get(map))?.["data"]).toEqual({ value: "two", "ca-bundle.crt": bundle });
});

test("a field that cannot be changed is named, and what may be done", async () => {
  const uid = crypto.randomUUID();
  const manifest = deploymentOf(`d-${uid}`, {});
  await send(uid, 1, manifest);

  const labels = { app: "other" };
  const message = await refused(uid, 2, {
    ...manifest,
    spec: {
      ...manifest.spec,
      selector: { matchLabels: labels },
      template: { ...manifest.spec.template, metadata: { labels } },
    },
  });

  expect(message).toContain("field is immutable");
  expect(message).toEndWith(
    "(spec.selector cannot be changed: put back the old value, or delete the object, which is " +
      "then made anew)",
  );
});

test("W4: an orphaned object of a kind that Go knows by name has no broken owner", async () => {
  const uid = crypto.randomUUID();
  const group = "monitoring.coreos.com";
  await agent.send(uid, 1, {
    manifests: [
      {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: `servicemonitors.${group}` },
        spec: {
          group,
          scope: "Namespaced",
          names: { kind: "ServiceMonitor", plural: "servicemonitors" },
          versions: [{
            name: "v1",
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
            },
          }],
        },
      },
      { ...named(`${group}/v1`, "ServiceMonitor", "m"), spec: {} },
    ],
    deleteOption: { propagationPolicy: "Orphan" },
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  const live = await kube.get(await refOf(kube, `${group}/v1`, "ServiceMonitor", "m"));

  expect(metadataOf(live)["ownerReferences"]).toBeUndefined();
});
