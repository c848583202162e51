/** Feedback, condition rules and readiness on a real API server, whose statuses the tests write themselves. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { FeedbackRule, ManifestConfig } from "../../src/lib/wire/work_spec.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, refOf, WRITER } from "../kube/objects.ts";
import {
  conditionOf,
  configMap,
  feedbackOf,
  isTrue,
  type Report,
  startAgent,
} from "./one_agent.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const WELL_KNOWN: FeedbackRule = { type: "WellKnownStatus" };
const paths = (...jsonPaths: { name: string; path: string }[]): FeedbackRule => ({
  type: "JSONPaths",
  jsonPaths,
});

function config(group: string, resource: string, name: string, rest: Partial<ManifestConfig>) {
  return { resourceIdentifier: { group, resource, name, namespace: "*" }, ...rest };
}

const forDeployments = (name: string, ...feedbackRules: FeedbackRule[]) =>
  config("apps", "deployments", name, { feedbackRules });

function workload(kind: "Deployment" | "DaemonSet", name: string): JsonObject {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace: "default" },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: "c", image: "none" }] },
      },
    },
  };
}

function job(name: string): JsonObject {
  const container = { name: "c", image: "none" };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace: "default" },
    spec: { template: { spec: { restartPolicy: "Never", containers: [container] } } },
  };
}

async function setStatus(ref: ObjectRef, status: JsonObject): Promise<void> {
  const options = { type: "merge", fieldManager: "controller", subresource: "status" } as const;
  await kube.patch(ref, { status }, options);
}

async function newRef(apiVersion: string, kind: string, prefix: string): Promise<ObjectRef> {
  return await refOf(kube, apiVersion, kind, `${prefix}-${crypto.randomUUID().slice(0, 8)}`);
}

function valuesOf(report: Report, ordinal = 0): JsonObject {
  return Object.fromEntries(
    feedbackOf(report, ordinal).map((
      { name, fieldValue: { integer, string, boolean, jsonRaw } },
    ) => [name, integer ?? string ?? boolean ?? jsonRaw]),
  );
}

async function untilValues(uid: string, values: JsonObject, ordinal = 0): Promise<Report> {
  return await agent.until(uid, (report) => Bun.deepEquals(valuesOf(report, ordinal), values));
}

const replicas = (count: number): JsonObject => ({
  observedGeneration: 1,
  replicas: count,
  updatedReplicas: count,
  readyReplicas: count,
  availableReplicas: count,
});

async function finish(ref: ObjectRef): Promise<void> {
  const time = "2026-01-01T00:00:00Z";
  const done = { status: "True", lastProbeTime: time, lastTransitionTime: time };
  await setStatus(ref, {
    startTime: time,
    completionTime: time,
    succeeded: 1,
    conditions: [{ type: "SuccessCriteriaMet", ...done }, { type: "Complete", ...done }],
  });
}

test("A43, A99: the well-known values of a Deployment are reported and followed", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "known")];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [forDeployments(ref.name, WELL_KNOWN)],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(ref, replicas(1));
  await untilValues(uid, { ReadyReplicas: 1, Replicas: 1, AvailableReplicas: 1 });
  await setStatus(ref, replicas(2));

  const report = await untilValues(uid, {
    ReadyReplicas: 2,
    Replicas: 2,
    AvailableReplicas: 2,
  });
  expect(conditionOf(report, "StatusFeedbackSynced", 0)).toMatchObject({
    status: "True",
    reason: "StatusFeedbackSynced",
    message: "",
  });
});

test("A44: a name may be a pattern, and one path that fails does not hold back the others", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "pattern")];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [
      forDeployments(
        `*${ref.name.slice(-3)}`,
        paths({ name: "good", path: ".spec.replicas" }, { name: "bad", path: ".spec[" }),
      ),
    ],
  });

  const report = await untilValues(uid, { good: 1 });

  expect(conditionOf(report, "StatusFeedbackSynced", 0)).toMatchObject({
    status: "False",
    reason: "StatusFeedbackSyncFailed",
  });
});

test("A45: a kind without well-known values says so, the Deployment beside it is well", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "beside")];
  const account = { apiVersion: "v1", kind: "ServiceAccount" };
  await agent.send(uid, 1, {
    manifests: [
      workload("Deployment", ref.name),
      { ...account, metadata: { name: ref.name, namespace: "default" } },
    ],
    manifestConfigs: [
      forDeployments("*", WELL_KNOWN),
      config("", "serviceaccounts", "*", { feedbackRules: [WELL_KNOWN] }),
    ],
  });

  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  expect(conditionOf(report, "StatusFeedbackSynced", 0)?.status).toBe("True");
  expect(feedbackOf(report, 1)).toEqual([]);
  expect(conditionOf(report, "StatusFeedbackSynced", 1)?.message).toBe(
    "Sync status feedback failed with error cannot find the wellknown statuses for resource with gvk " +
      "/v1, Kind=ServiceAccount",
  );
});

test("A46, A47: a structured value is raw JSON, and the work is applied and available", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "raw")];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [forDeployments(ref.name, paths({ name: "c", path: ".status.conditions" }))],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(ref, { conditions: [{ type: "Available", status: "True" }] });

  const report = await agent.until(uid, (report) => feedbackOf(report).length > 0);
  expect(feedbackOf(report)[0]?.fieldValue).toEqual({
    type: "JsonRaw",
    jsonRaw:
      '[{"lastTransitionTime":null,"lastUpdateTime":null,"status":"True","type":"Available"}]',
  });
  expect(isTrue(report, "Applied", 1) && isTrue(report, "Available", 1)).toBeTrue();
});

test("A48: the well-known values of a DaemonSet", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "DaemonSet", "daemons")];
  await agent.send(uid, 1, {
    manifests: [workload("DaemonSet", ref.name)],
    manifestConfigs: [config("apps", "daemonsets", "*", { feedbackRules: [WELL_KNOWN] })],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(ref, {
    currentNumberScheduled: 1,
    desiredNumberScheduled: 1,
    numberAvailable: 1,
    numberMisscheduled: 0,
    numberReady: 1,
  });

  await untilValues(uid, { NumberReady: 1, DesiredNumberScheduled: 1, NumberAvailable: 1 });
});

test("A49, A50: two rules are read one after the other, and of two matching options the first wins", async () => {
  const [uid, one, two] = [
    crypto.randomUUID(),
    await newRef("apps/v1", "Deployment", "both-a"),
    await newRef("apps/v1", "Deployment", "both-b"),
  ];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", one.name), workload("Deployment", two.name)],
    manifestConfigs: [
      forDeployments(one.name, paths({ name: "first", path: ".spec.replicas" })),
      forDeployments("both-*", WELL_KNOWN, paths({ name: "more", path: ".metadata.name" })),
    ],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(one, replicas(1));
  await setStatus(two, replicas(3));

  const known = { ReadyReplicas: 3, Replicas: 3, AvailableReplicas: 3 };
  const report = await untilValues(uid, { ...known, more: two.name }, 1);
  expect(feedbackOf(report, 1).map(({ name }) => name)).toEqual([
    "ReadyReplicas",
    "Replicas",
    "AvailableReplicas",
    "more",
  ]);
  expect(valuesOf(report, 0)).toEqual({ first: 1 });
});

test.each(["Watch", "Poll", ""])(
  'A51: with the scrape type "%s" a change is reported as soon as the watch sees it',
  async (feedbackScrapeType) => {
    const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "scraped")];
    await agent.send(uid, 1, {
      manifests: [workload("Deployment", ref.name)],
      manifestConfigs: [{ ...forDeployments(ref.name, WELL_KNOWN), feedbackScrapeType }],
    });
    await agent.until(uid, (report) => isTrue(report, "Applied", 1));
    const started = performance.now();

    await setStatus(ref, replicas(4));

    await untilValues(uid, { ReadyReplicas: 4, Replicas: 4, AvailableReplicas: 4 });
    // Thirty seconds is how often peers poll.
    expect(performance.now() - started).toBeLessThan(15_000);
  },
);

test("A52: a cluster-scoped object is watched as well", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("v1", "Namespace", "watched")];
  const manifest = (labels: JsonObject) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: ref.name, labels },
  });
  const feedbackRules = [
    paths({ name: "phase", path: ".status.phase" }, { name: "x", path: ".metadata.annotations.x" }),
  ];
  await agent.send(uid, 1, {
    manifests: [manifest({})],
    manifestConfigs: [{
      resourceIdentifier: { group: "", resource: "namespaces", name: "watched-*" },
      feedbackScrapeType: "Watch",
      feedbackRules,
    }],
  });
  await untilValues(uid, { phase: "Active" });

  await kube.patch(ref, { metadata: { annotations: { x: "1" } } }, { type: "merge", ...WRITER });

  await untilValues(uid, { phase: "Active", x: "1" });
});

test("A111: a read-only Secret gives its members as raw JSON", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("v1", "Secret", "token")];
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: ref.name, namespace: "default" },
  };
  await kube.create(ref, { ...secret, stringData: { token: "token" } }, WRITER);

  await agent.send(uid, 1, {
    manifests: [secret],
    manifestConfigs: [config("", "secrets", ref.name, {
      updateStrategy: { type: "ReadOnly" },
      feedbackRules: [paths({ name: "credential", path: ".data" })],
    })],
  });

  await untilValues(uid, { credential: '{"token":"dG9rZW4="}' });
});

const complete = { condition: "Complete", type: "WellKnownConditions" };
const forJobs = (name: string, rest: Partial<ManifestConfig>) =>
  config("batch", "jobs", name, rest);

test("A53: a Job becomes complete, under server-side apply", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("batch/v1", "Job", "known")];
  await agent.send(uid, 1, {
    manifests: [job(ref.name)],
    manifestConfigs: [forJobs(ref.name, {
      conditionRules: [complete],
      updateStrategy: { type: "ServerSideApply", serverSideApply: { force: true } },
    })],
  });
  const before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await finish(ref);

  const report = await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  expect(conditionOf(before, "Complete", 0)).toMatchObject({
    status: "False",
    reason: "ConditionRuleEvaluated",
    message: "Job is not finished",
  });
  expect(conditionOf(report, "Complete", 0)?.message).toBe("Job is finished");
});

test("A54: a condition written in CEL follows the status, and so does its message", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("batch/v1", "Job", "cel")];
  await agent.send(uid, 1, {
    manifests: [job(ref.name)],
    manifestConfigs: [forJobs(ref.name, {
      conditionRules: [{
        condition: "Active",
        type: "CEL",
        celExpressions: ["object.?status.?active.orValue(0) > 0"],
        messageExpression: "result ? string(object.status.active) + ' run' : 'none run'",
      }],
    })],
  });
  const before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(ref, { active: 2, startTime: "2026-01-01T00:00:00Z" });
  const during = await agent.until(uid, (report) => isTrue(report, "Active", 1));
  await setStatus(ref, { active: 0 });
  const after = await agent.until(uid, (report) => !isTrue(report, "Active", 1));

  const all = [before, during, after].map((report) => conditionOf(report, "Active", 0)?.message);
  expect(all).toEqual(["none run", "2 run", "none run"]);
  expect(conditionOf(during, "Active")).toMatchObject({
    status: "True",
    reason: "ConditionRulesAggregated",
    message: "2 run",
  });
});

test("A55: a well-known condition that nobody knows is none", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("batch/v1", "Job", "unknown")];
  await agent.send(uid, 1, {
    manifests: [job(ref.name)],
    manifestConfigs: [
      forJobs(ref.name, { conditionRules: [{ ...complete, condition: "Perfect" }] }),
    ],
  });

  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  expect(conditionOf(report, "Perfect", 0)).toBeUndefined();
  expect(conditionOf(report, "Perfect")).toBeUndefined();
});

test("A21, A56: of two jobs one is complete, and the work is when both are", async () => {
  const [uid, one, two] = [
    crypto.randomUUID(),
    await newRef("batch/v1", "Job", "of-two"),
    await newRef("batch/v1", "Job", "of-two"),
  ];
  const conditionRules = [{
    condition: "Complete",
    type: "CEL",
    celExpressions: [
      "has(object.status.conditions) && object.status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
    ],
  }];
  await agent.send(uid, 1, {
    manifests: [job(one.name), job(two.name)],
    manifestConfigs: [forJobs("of-two-*", { conditionRules })],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await finish(one);
  const first = await agent.until(
    uid,
    (report) => conditionOf(report, "Complete", 0)?.status === "True",
  );
  await finish(two);
  const both = await agent.until(uid, (report) => isTrue(report, "Complete", 1));

  expect(conditionOf(first, "Complete", 1)?.status).toBe("False");
  expect(conditionOf(first, "Complete")).toMatchObject({
    status: "False",
    reason: "ConditionRulesAggregated",
    message: "Aggregated from 2 manifest conditions",
  });
  expect(conditionOf(both, "Complete")?.reason).toBe("ConditionRulesAggregated");
});

test("A21: a rule on one of two manifests is enough to make the work complete", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("v1", "ConfigMap", "half")];
  const rule = {
    condition: "Complete",
    type: "CEL",
    celExpressions: ["object.data.done == 'yes'"],
  };
  await agent.send(uid, 1, {
    manifests: [configMap(ref.name, { done: "yes" }), configMap(`other-${ref.name}`, {})],
    manifestConfigs: [config("", "configmaps", ref.name, { conditionRules: [rule] })],
  });

  const report = await agent.until(uid, (report) => isTrue(report, "Complete", 1));

  expect(conditionOf(report, "Complete")).toMatchObject({
    reason: "ConditionRulesAggregated",
    message: "Manifest is Complete",
  });
});

test("A57: of two options the first wins; an expression that fails says why", async () => {
  const [uid, one, two] = [
    crypto.randomUUID(),
    await newRef("batch/v1", "Job", "first"),
    await newRef("batch/v1", "Job", "second"),
  ];
  const bad = { ...complete, type: "CEL", celExpressions: ["object.spec.nothing == 1"] };
  await agent.send(uid, 1, {
    manifests: [job(one.name), job(two.name)],
    manifestConfigs: [
      forJobs(one.name, { conditionRules: [complete] }),
      forJobs("*", { conditionRules: [bad] }),
    ],
  });

  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  expect(conditionOf(report, "Complete", 0)?.reason).toBe("ConditionRuleEvaluated");
  expect(conditionOf(report, "Complete", 1)).toMatchObject({
    status: "False",
    reason: "ConditionRuleExpressionError",
    message: "no such key: nothing",
  });
});

test("W6: when a rule no longer finds an object complete, its drift is set right, and so when it is gone", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("v1", "ConfigMap", "over")];
  const spec = (rules: boolean) => ({
    manifests: [configMap(ref.name, { a: "1" })],
    manifestConfigs: rules
      ? [config("", "configmaps", ref.name, {
        conditionRules: [{
          condition: "Complete",
          type: "CEL",
          celExpressions: ["has(object.metadata.labels.over)"],
        }],
      })]
      : [],
  });
  const patch = { type: "merge", ...WRITER } as const;
  const data = async () => (await kube.get(ref))?.["data"] as JsonObject;
  await agent.send(uid, 1, spec(true));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await kube.patch(ref, { metadata: { labels: { over: "x" } } }, patch);
  await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  await kube.patch(ref, { data: { a: "2" } }, patch);
  await agent.reconnect();
  const left = await data();

  await kube.patch(ref, { metadata: { labels: { over: null } } }, patch);
  await eventually(data, ({ a }) => a === "1");
  await kube.patch(ref, { metadata: { labels: { over: "x" } } }, patch);
  await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  await kube.patch(ref, { data: { a: "3" } }, patch);
  await agent.send(uid, 2, spec(false));

  await eventually(data, ({ a }) => a === "1");
  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(left).toEqual({ a: "2" });
  expect(conditionOf(report, "Complete", 0)).toBeUndefined();
});

test("W6: a finished job that is cleaned up is not run again when other rules or options come", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("batch/v1", "Job", "once")];
  const spec = (rest: Partial<ManifestConfig>) => ({
    manifests: [job(ref.name), configMap(ref.name, {})],
    manifestConfigs: [forJobs(ref.name, { conditionRules: [complete], ...rest })],
  });
  await agent.send(uid, 1, spec({}));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await finish(ref);
  await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  const live = metadataOf(await kube.get(ref));
  await kube.delete(ref, { uid: String(live["uid"]), propagationPolicy: "Background" });
  await agent.until(uid, (report) => conditionOf(report, "Available", 0)?.status === "False");

  await agent.send(uid, 2, spec({ feedbackRules: [WELL_KNOWN] }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  await agent.send(uid, 3, spec({ updateStrategy: { type: "ServerSideApply" } }));
  await agent.until(uid, (report) => isTrue(report, "Applied", 3));
  const before = await kube.get(ref);
  await agent.send(uid, 4, { manifests: [job(ref.name), configMap(ref.name, {})] });
  await agent.until(uid, (report) => isTrue(report, "Available", 4));

  expect(before).toBeUndefined();
  expect(await kube.get(ref)).toBeDefined();
});

test("W7: a rule named Available is what the condition says, once and for all", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("v1", "ConfigMap", "ruled")];
  let minutes = 0;
  // Each look at the clock is in another minute, so a transition that is none would show.
  const nowMs = () => Date.now() + 60_000 * minutes++;
  await using own = await startAgent(kube, { hub: `ruled-${uid}:1`, nowMs });
  const rule = (condition: string, expression: string) => ({
    condition,
    type: "CEL",
    celExpressions: [expression],
  });
  await own.send(uid, 1, {
    manifests: [configMap(ref.name, {})],
    manifestConfigs: [config("", "configmaps", ref.name, {
      conditionRules: [
        rule("Available", "has(object.metadata.labels)"),
        rule("Applied", "false"),
        rule("Seen", "has(object.metadata.annotations)"),
      ],
    })],
  });
  const first = await own.until(uid, (report) => isTrue(report, "Applied", 1));

  await kube.patch(ref, { metadata: { annotations: { x: "1" } } }, { type: "merge", ...WRITER });
  const second = await own.until(uid, (report) => isTrue(report, "Seen", 1));
  await kube.patch(ref, { metadata: { labels: { x: "1" } } }, { type: "merge", ...WRITER });
  const last = await own.until(uid, (report) => isTrue(report, "Available", 1));

  expect(conditionOf(first, "Available", 0)).toMatchObject({
    status: "False",
    reason: "ConditionRuleEvaluated",
  });
  expect(conditionOf(second, "Available", 0)).toEqual(conditionOf(first, "Available", 0));
  expect(conditionOf(last, "Applied", 0)?.reason).toBe("AppliedManifestComplete");
});

test("W18: what is known of an object that is gone stays, beside the word that it is gone", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "gone")];
  await kube.create(ref, workload("Deployment", ref.name), WRITER);
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [
      config("apps", "deployments", "*", {
        updateStrategy: { type: "ReadOnly" },
        feedbackRules: [paths({ name: "replicas", path: ".spec.replicas" })],
      }),
    ],
  });
  await untilValues(uid, { replicas: 1 });
  const live = metadataOf(await kube.get(ref));

  await kube.delete(ref, { uid: String(live["uid"]), propagationPolicy: "Background" });

  const report = await agent.until(uid, (report) => !isTrue(report, "Available"));
  expect(valuesOf(report)).toEqual({ replicas: 1 });
  expect(conditionOf(report, "Available", 0)?.reason).toBe("ResourceNotAvailable");
  expect(conditionOf(report, "Ready", 0)).toMatchObject({ status: "False", reason: "NotFound" });
});

test("a work says whether its objects are ready, with numbers, and other kinds say nothing of it", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "ready")];
  await agent.send(uid, 1, {
    manifests: [configMap(ref.name, {}), workload("Deployment", ref.name)],
  });
  const before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(ref, { ...replicas(1), availableReplicas: 0 });
  const during = await agent.until(
    uid,
    (report) => conditionOf(report, "Ready", 1)?.message === "0 of 1 replicas are available",
  );
  await setStatus(ref, replicas(1));
  const after = await agent.until(uid, (report) => isTrue(report, "Ready", 1));

  const types = (ordinal: number) =>
    before.status.resourceStatus?.[ordinal]?.conditions?.map(({ type }) => type).sort();
  expect(types(0)).toEqual(["Applied", "Available", "StatusFeedbackSynced"]);
  expect(types(1)).toEqual(["Applied", "Available", "Ready", "StatusFeedbackSynced"]);
  expect(conditionOf(before, "Ready", 1)?.message).toBe("The controller has not seen it yet");
  expect(conditionOf(during, "Ready")).toMatchObject({
    status: "False",
    reason: "ResourcesNotReady",
    message:
      `1 of 1 resources are not ready: Deployment ${ref.name}: 0 of 1 replicas are available`,
  });
  expect(isTrue(before, "Available", 1) && isTrue(during, "Available", 1)).toBeTrue();
  expect(conditionOf(after, "Ready", 1)?.message).toBe("1 of 1 replicas are available");
});

test("a rule named Ready wins, and a work without one and without such kinds has no Ready", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "own")];
  const rule = { condition: "Ready", type: "CEL", celExpressions: ["true"], message: "I say so" };
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [config("apps", "deployments", "*", { conditionRules: [rule] })],
  });
  const ruled = await agent.until(uid, (report) => isTrue(report, "Ready", 1));

  await agent.send(uid, 2, { manifests: [workload("Deployment", ref.name)] });
  const own = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  await agent.send(uid, 3, { manifests: [configMap(ref.name, {})] });
  const none = await agent.until(uid, (report) => isTrue(report, "Applied", 3));

  expect(conditionOf(ruled, "Ready", 0)?.message).toBe("I say so");
  expect(conditionOf(ruled, "Ready")?.reason).toBe("ConditionRulesAggregated");
  expect(conditionOf(own, "Ready", 0)?.reason).toBe("InProgress");
  expect(conditionOf(own, "Ready")?.reason).toBe("ResourcesNotReady");
  expect(conditionOf(none, "Ready")).toBeUndefined();
});

test("M34: readiness survives a restart without another report", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef("apps/v1", "Deployment", "again")];
  const hub = `ready-${uid}:1`;
  const spec = { manifests: [workload("Deployment", ref.name)] };
  {
    await using first = await startAgent(kube, { hub });
    await first.send(uid, 1, spec);
    await first.until(uid, (report) => isTrue(report, "Applied", 1));
    await setStatus(ref, replicas(1));
    await first.until(uid, (report) => isTrue(report, "Ready", 1));
  }

  // An hour later, so a time that was not kept would show.
  await using second = await startAgent(kube, { hub, nowMs: () => Date.now() + 3_600_000 });
  await second.send(uid, 1, spec, { action: "resync_response" });
  const other = crypto.randomUUID();
  await second.send(other, 1, { manifests: [configMap(`other-${ref.name}`, {})] });
  await second.until(other, (report) => isTrue(report, "Applied", 1));
  await setStatus(ref, { ...replicas(1), availableReplicas: 0 });
  const report = await second.until(uid, () => true);

  // The first word of the new life is news, not what was said before.
  expect(conditionOf(report, "Ready", 0)?.message).toBe("0 of 1 replicas are available");
  expect(second.reports.filter((report) => report.uid === uid)).toHaveLength(1);
});
