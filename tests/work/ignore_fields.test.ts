/** Fields that a work leaves to others: which those are, and what becomes of them on a real API server. */

import { afterAll, expect, test } from "bun:test";
import { isObject, type JsonObject, parseJson } from "../../src/lib/json.ts";
import type { IgnoreField } from "../../src/lib/wire/work_spec.ts";
import { openRemover } from "../../src/lib/work/ignore_fields.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { hubHashOf } from "../../src/lib/work/ledger.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf } from "../kube/objects.ts";
import { conditionOf, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const HASH = "open-cluster-management.io/config-spec-hash";

async function without(rules: IgnoreField[], manifest: JsonObject): Promise<JsonObject> {
  return (await openRemover(rules)).withoutPresent(manifest);
}

test("fields are left out by path, by pointer and by jq", async () => {
  const manifest = { spec: { replicas: 1, list: [{ a: 1, b: 2 }] } };

  expect(await without([{ jsonPaths: [".spec.replicas", ".spec.list[*].a"] }], manifest))
    .toEqual({ spec: { list: [{ b: 2 }] } });
  expect(await without([{ jsonPaths: ["{", ".none.at.all"] }], manifest)).toEqual(manifest);
  expect(await without([{ jsonPointers: ["/spec/list/0/a", "/none/x"] }], manifest))
    .toEqual({ spec: { replicas: 1, list: [{ b: 2 }] } });
  expect(await without([{ jqPathExpressions: [".spec.list[] | select(.a == 1)"] }], manifest))
    .toEqual({ spec: { replicas: 1, list: [] } });
  expect(await without([{ condition: "OnSpokeChange", jsonPaths: [".spec"] }], manifest))
    .toEqual(manifest);
});

test("M26: jq leaves every digit of the numbers that it does not touch", async () => {
  const manifest = parseJson('{"spec":{"big":9007199254740993,"exact":1.50,"x":1}}') as JsonObject;

  const left = await without([{ jqPathExpressions: [".spec.x"] }], manifest);

  expect(JSON.stringify(left)).toBe('{"spec":{"big":9007199254740993,"exact":1.50}}');
});

test.each([
  [{ jsonPointers: ["/list/7"] }, "JSON Pointer error in '/list/7': invalid index 7"],
  [{ jqPathExpressions: ["(("] }, "JQ expression error in '((': unexpected token \")\""],
  [
    { jqPathExpressions: [".list | .x"] },
    "JQ expression error in '.list | .x': cannot index array",
  ],
  [{ jqPathExpressions: ["."] }, "JQ expression error in '.': its result must be an object"],
  [
    { jqPathExpressions: [".a) , (.b"] },
    "JQ expression error in '.a) , (.b': it must have one result, it has 2",
  ],
  [
    { jqPathExpressions: [".list[range(1e12)]"] },
    "JQ expression error in '.list[range(1e12)]': the expression takes too long",
  ],
])("the rule %p is refused in words", async (rule, problem) => {
  const given = without([rule], { list: [1], a: 1, b: 2 });
  await expect(given).rejects.toThrow(problem);
});

function deployment(name: string, replicas: number, more: JsonObject = {}): JsonObject {
  const labels = { app: name };
  const containers = [{ name: "c", image: "none", ...more }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

function ignoring(manifest: JsonObject, ignoreFields: IgnoreField[]) {
  return {
    manifests: [manifest],
    manifestConfigs: [{
      resourceIdentifier: { group: "apps", resource: "deployments", name: "*", namespace: "*" },
      updateStrategy: { type: "ServerSideApply", serverSideApply: { force: true, ignoreFields } },
    }],
  };
}

const merge = { type: "merge", fieldManager: "somebody" } as const;

async function specOf(ref: ObjectRef): Promise<JsonObject> {
  const spec = (await kube.get(ref))?.["spec"];
  return isObject(spec) ? spec : {};
}

function hasOurImage({ template }: JsonObject): boolean {
  return JSON.stringify(template).includes('"image":"none"');
}

async function deploymentRef(name: string): Promise<ObjectRef> {
  return await refOf(kube, "apps/v1", "Deployment", `${name}-${crypto.randomUUID()}`);
}

async function applied(uid: string, version: number): Promise<void> {
  await agent.until(uid, (report) => isTrue(report, "Applied", version));
}

test("A36: OnSpokeChange keeps an edit on the cluster, and a change of the work overrides it", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("change")];
  const rules = [{ condition: "OnSpokeChange", jsonPaths: [".spec.replicas"] }];
  await agent.send(uid, 1, ignoring(deployment(ref.name, 1), rules));
  await applied(uid, 1);
  const hash = metadataOf(await kube.get(ref))["annotations"] as JsonObject;

  const containers = [{ name: "c", image: "theirs" }];
  await kube.patch(ref, { spec: { replicas: 2, template: { spec: { containers } } } }, merge);
  // By the time that the other field is set right, the agent has seen both.
  await eventually(() => specOf(ref), hasOurImage);
  const kept = (await specOf(ref))["replicas"];
  await agent.send(uid, 2, ignoring(deployment(ref.name, 3), rules));
  await applied(uid, 2);

  expect(hash[HASH]).toMatch(/^[0-9a-f]{32}$/);
  expect(kept).toBe(2);
  expect((await specOf(ref))["replicas"]).toBe(3);
});

test.each(
  [
    ["A37: by JSONPath, a field that is ignored when present is the cluster's from then on", {
      condition: "OnSpokePresent",
      jsonPaths: [".spec.replicas"],
    }],
    ["A38: by JSON pointer, a field that is ignored when present is the cluster's from then on", {
      condition: "OnSpokePresent",
      jsonPointers: ["/spec/replicas"],
    }],
  ] satisfies [string, IgnoreField][],
)("%s", async (_, rule) => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("present")];
  const rules = [rule];
  await agent.send(uid, 1, ignoring(deployment(ref.name, 1), rules));
  await applied(uid, 1);
  await kube.patch(ref, { spec: { replicas: 2 } }, merge);

  await agent.send(uid, 2, ignoring(deployment(ref.name, 3), rules));
  await applied(uid, 2);
  await agent.send(uid, 3, ignoring({ ...deployment(ref.name, 4) }, rules));
  await applied(uid, 3);

  expect((await specOf(ref))["replicas"]).toBe(2);
});

function envOf(spec: JsonObject): JsonObject[] {
  const { template } = spec as { template: { spec: { containers: { env?: JsonObject[] }[] } } };
  return template.spec.containers[0]?.env ?? [];
}

test("A39: jq ignores one environment variable; all are there at first, then it is the cluster's", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("jq")];
  const rules = [{
    condition: "OnSpokePresent",
    jqPathExpressions: ['.spec.template.spec.containers[0].env[] | select(.name == "THEIRS")'],
  }];
  const spec = (value: string) =>
    ignoring(
      deployment(ref.name, 0, {
        env: [{ name: "THEIRS", value: "first" }, { name: "OURS", value }],
      }),
      rules,
    );
  await agent.send(uid, 1, spec("1"));
  await applied(uid, 1);
  const created = envOf(await specOf(ref));
  const env = [{ name: "THEIRS", value: "changed" }];
  const theirs = deployment(ref.name, 0, { env });
  await kube.patch(ref, theirs, { type: "apply", fieldManager: "somebody", force: true });

  await agent.send(uid, 2, spec("2"));
  await applied(uid, 2);

  expect(created).toEqual([{ name: "THEIRS", value: "first" }, { name: "OURS", value: "1" }]);
  expect(
    envOf(await specOf(ref)).toSorted((a, b) => String(a["name"]).localeCompare(`${b["name"]}`)),
  )
    .toEqual([{ name: "OURS", value: "2" }, { name: "THEIRS", value: "changed" }]);
});

test("A40: an expression that is not jq is refused, and the reason says so", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("odd")];

  await agent.send(uid, 1, ignoring(deployment(ref.name, 1), [{ jqPathExpressions: [".spec["] }]));

  const report = await agent.until(uid, () => true);
  expect(conditionOf(report, "Applied", 0)).toMatchObject({
    status: "False",
    reason: "AppliedManifestSSAIgnoreFieldError",
    message:
      "Failed to process ignoreFields: JQ expression error in '.spec[': unexpected token \")\"",
  });
});

test("W9: a change of a field that is not ignored is set right, and the ignored one stays", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("drift")];
  await agent.send(uid, 1, ignoring(deployment(ref.name, 1), [{ jsonPaths: [".spec.replicas"] }]));
  await applied(uid, 1);

  const containers = [{ name: "c", image: "theirs" }];
  await kube.patch(ref, { spec: { replicas: 5, template: { spec: { containers } } } }, merge);

  const spec = await eventually(() => specOf(ref), hasOurImage);
  expect(spec["replicas"]).toBe(5);
});

test("W9: an ignored field that nobody else has set keeps its value when the work changes", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("kept")];
  const rules = [{
    jsonPaths: [".spec.replicas"],
    jqPathExpressions: ['.spec.template.spec.containers[0].env[] | select(.name == "A")'],
  }];
  const env = (value: string) => ({ env: [{ name: "A", value }, { name: "B", value }] });
  await agent.send(uid, 1, ignoring(deployment(ref.name, 3, env("1")), rules));
  await applied(uid, 1);

  await agent.send(uid, 2, ignoring(deployment(ref.name, 4, env("2")), rules));
  await applied(uid, 2);

  // Without an owner it would be gone, and the server would put 1 in its place.
  expect((await specOf(ref))["replicas"]).toBe(3);
  expect(envOf(await specOf(ref)))
    .toEqual([{ name: "A", value: "1" }, { name: "B", value: "2" }]);
});

test("A103: a work that goes from OnSpokeChange to OnSpokePresent keeps what is on the cluster", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("switch")];
  const rules = (condition: string) => [{ condition, jsonPaths: [".spec.replicas"] }];
  await agent.send(uid, 1, ignoring(deployment(ref.name, 1), rules("OnSpokeChange")));
  await applied(uid, 1);
  await agent.send(uid, 2, ignoring(deployment(ref.name, 2), rules("OnSpokeChange")));
  await applied(uid, 2);
  const followed = (await specOf(ref))["replicas"];
  await kube.patch(ref, { spec: { replicas: 7 } }, merge);

  await agent.send(uid, 3, ignoring(deployment(ref.name, 3), rules("OnSpokePresent")));
  await applied(uid, 3);

  expect(followed).toBe(2);
  expect((await specOf(ref))["replicas"]).toBe(7);
});

test("an object that the Go agent has applied with its hash is not written again", async () => {
  const [uid, ref] = [crypto.randomUUID(), await deploymentRef("taken")];
  const hub = `taken-${uid}:1`;
  const spec = ignoring(deployment(ref.name, 1), [{ jsonPaths: [".spec.replicas"] }]);
  {
    await using first = await startAgent(kube, { hub });
    await first.send(uid, 1, spec);
    await first.until(uid, (report) => isTrue(report, "Applied", 1));
  }
  // The Go agent leaves no record, only the object and its AppliedManifestWork.
  const type = "work.open-cluster-management.io/v1";
  const name = `${hubHashOf(hub)}-${uid}`;
  const ledger = await refOf(kube, type, "AppliedManifestWork", name);
  await kube.patch(ledger, { metadata: { annotations: null } }, merge);
  const before = metadataOf(await kube.get(ref));

  await using second = await startAgent(kube, { hub });
  await second.send(uid, 1, spec);
  await second.until(uid, (report) => isTrue(report, "Applied", 1));

  expect(metadataOf(await kube.get(ref))["resourceVersion"]).toBe(before["resourceVersion"]);
});
