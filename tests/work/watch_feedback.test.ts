/** Status that follows objects by watches, on a real API server. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, feedbackOf, isTrue, startAgent } from "./one_agent.ts";

const cluster = await startKubernetes();
const plain = await openKubeconfig(cluster.kubeconfig);
/** The objects that the agent has asked for by name. */
const asked: string[] = [];
const kube: Kube = {
  ...plain,
  get(ref) {
    asked.push(ref.name);
    return plain.get(ref);
  },
};
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const merge = { type: "merge" as const, fieldManager: "tests" };

function reading(ref: ObjectRef, path: string, more: JsonObject = {}): JsonObject {
  const { group, resource } = ref.type;
  return {
    resourceIdentifier: { group, resource, name: ref.name, namespace: ref.namespace },
    updateStrategy: { type: "ReadOnly" },
    feedbackRules: [{ type: "JSONPaths", jsonPaths: [{ name: "value", path }] }],
    ...more,
  };
}

const valueOf = (report: Parameters<typeof feedbackOf>[0]) =>
  feedbackOf(report)[0]?.fieldValue.string;

test("A51: a change is reported through a watch, whether that was asked for or polls, and nothing is read between", async () => {
  for (const feedbackScrapeType of ["Watch", "Poll"]) {
    const uid = crypto.randomUUID();
    const ref = await refOf(plain, "v1", "ConfigMap", `watched-${uid}`);
    await plain.create(ref, configMap(ref.name, { a: "1" }), WRITER);
    await agent.send(uid, 1, {
      manifests: [{
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: ref.name, namespace: "default" },
      }],
      manifestConfigs: [reading(ref, ".data.a", { feedbackScrapeType })],
    });
    await agent.until(uid, (report) => valueOf(report) === "1");
    const before = asked.filter((name) => name === ref.name).length;

    await plain.patch(ref, { data: { a: "2" } }, merge);

    const report = await agent.until(uid, (report) => valueOf(report) === "2");
    expect(conditionOf(report, "StatusFeedbackSynced", 0)?.status).toBe("True");
    expect(asked.filter((name) => name === ref.name)).toHaveLength(before);
  }
});

test("A52: an object without a namespace is watched as well", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(plain, "v1", "Namespace", `watched-${uid}`);
  const manifest = { apiVersion: "v1", kind: "Namespace", metadata: { name: ref.name } };
  await agent.send(uid, 1, {
    manifests: [manifest],
    manifestConfigs: [
      reading(ref, ".metadata.labels.state", { updateStrategy: { type: "Update" } }),
    ],
  });
  await agent.until(uid, (report) => isTrue(report, "Available", 1));

  await plain.patch(ref, { metadata: { labels: { state: "ready" } } }, merge);

  await agent.until(uid, (report) => valueOf(report) === "ready");
});

test("W27: an object that goes is no longer available, and its namesake is read anew", async () => {
  const uid = crypto.randomUUID();
  const ref = await refOf(plain, "v1", "ConfigMap", `gone-${uid}`);
  await plain.create(ref, configMap(ref.name, { a: "1" }), WRITER);
  await agent.send(uid, 1, {
    manifests: [{
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: ref.name, namespace: "default" },
    }],
    manifestConfigs: [reading(ref, ".data.a")],
  });
  await agent.until(uid, (report) => valueOf(report) === "1");

  const live = String(metadataOf(await plain.get(ref))["uid"]);
  await plain.delete(ref, { uid: live, propagationPolicy: "Background" });
  await agent.until(uid, (report) => conditionOf(report, "Available", 0)?.status === "False");
  await plain.create(ref, configMap(ref.name, { a: "2" }), WRITER);

  const report = await agent.until(uid, (report) => valueOf(report) === "2");
  expect(conditionOf(report, "Available", 0)?.status).toBe("True");
});

test(
  "W24: a value that changes all the time is reported about once a second, its first change and its last for sure",
  async () => {
    const uid = crypto.randomUUID();
    const ref = await refOf(plain, "v1", "ConfigMap", `restless-${uid}`);
    await plain.create(ref, configMap(ref.name, { a: "0" }), WRITER);
    await agent.send(uid, 1, {
      manifests: [{
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: ref.name, namespace: "default" },
      }],
      manifestConfigs: [reading(ref, ".data.a")],
    });
    await agent.until(uid, (report) => valueOf(report) === "0");
    await plain.patch(ref, { data: { a: "first" } }, merge);
    await agent.until(uid, (report) => valueOf(report) === "first");
    const startedAt = performance.now();
    const before = agent.reports.length;

    for (let i = 1; i <= 60; i++) {
      await plain.patch(ref, { data: { a: String(i) } }, merge);
      // Slower than the pause in which changes travel together.
      await Bun.sleep(60);
    }

    await agent.until(uid, (report) => valueOf(report) === "60");
    const seconds = (performance.now() - startedAt) / 1000;
    const count = agent.reports.slice(before).filter((report) => report.uid === uid).length;
    // Some at once, then one a second, and the last.
    expect(count).toBeLessThanOrEqual(3 + Math.ceil(seconds));
  },
  20_000,
);
