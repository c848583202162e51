/** Condition rules and readiness on a real API server, whose statuses the tests write themselves. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { ManifestConfig } from "../../src/lib/wire/work_spec.ts";
import { metadataOf } from "../../src/lib/work/work.ts";
import { eventually } from "../harness/eventually.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, WRITER } from "../kube/objects.ts";
import { conditionOf, configMap, isTrue, startAgent } from "./one_agent.ts";
import {
  config,
  finish,
  job,
  newRef,
  paths,
  replicas,
  setStatus,
  valuesOf,
  WELL_KNOWN,
  workload,
} from "./ruled_objects.ts";

const cluster = await startKubernetes();
const kube = await openKubeconfig(cluster.kubeconfig);
const agent = await startAgent(kube);

afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
}, 20_000);

const complete = { condition: "Complete", type: "WellKnownConditions" };
const forJobs = (name: string, rest: Partial<ManifestConfig>) =>
  config("batch", "jobs", name, rest);

test("A53: a Job becomes complete, under server-side apply", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "batch/v1", "Job", "known")];
  await agent.send(uid, 1, {
    manifests: [job(ref.name)],
    manifestConfigs: [forJobs(ref.name, {
      conditionRules: [complete],
      updateStrategy: { type: "ServerSideApply", serverSideApply: { force: true } },
    })],
  });
  const before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await finish(kube, ref);

  const report = await agent.until(uid, (report) => isTrue(report, "Complete", 1));
  expect(conditionOf(before, "Complete", 0)).toMatchObject({
    status: "False",
    reason: "ConditionRuleEvaluated",
    message: "Job is not finished",
  });
  expect(conditionOf(report, "Complete", 0)?.message).toBe("Job is finished");
});

test("A54: a condition written in CEL follows the status, and so does its message", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "batch/v1", "Job", "cel")];
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

  await setStatus(kube, ref, { active: 2, startTime: "2026-01-01T00:00:00Z" });
  const during = await agent.until(uid, (report) => isTrue(report, "Active", 1));
  await setStatus(kube, ref, { active: 0 });
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "batch/v1", "Job", "unknown")];
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
    await newRef(kube, "batch/v1", "Job", "of-two"),
    await newRef(kube, "batch/v1", "Job", "of-two"),
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

  await finish(kube, one);
  const first = await agent.until(
    uid,
    (report) => conditionOf(report, "Complete", 0)?.status === "True",
  );
  await finish(kube, two);
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "v1", "ConfigMap", "half")];
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
    await newRef(kube, "batch/v1", "Job", "first"),
    await newRef(kube, "batch/v1", "Job", "second"),
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "v1", "ConfigMap", "over")];
  const spec = ({ hasRule }: { hasRule: boolean }) => ({
    manifests: [configMap(ref.name, { a: "1" })],
    manifestConfigs: hasRule
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
  await agent.send(uid, 1, spec({ hasRule: true }));
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
  await agent.send(uid, 2, spec({ hasRule: false }));

  await eventually(data, ({ a }) => a === "1");
  const report = await agent.until(uid, (report) => isTrue(report, "Applied", 2));
  expect(left).toEqual({ a: "2" });
  expect(conditionOf(report, "Complete", 0)).toBeUndefined();
});

test("W6: a finished job that is cleaned up is not run again when other rules or options come", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "batch/v1", "Job", "once")];
  const spec = (rest: Partial<ManifestConfig>) => ({
    manifests: [job(ref.name), configMap(ref.name, {})],
    manifestConfigs: [forJobs(ref.name, { conditionRules: [complete], ...rest })],
  });
  await agent.send(uid, 1, spec({}));
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));
  await finish(kube, ref);
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "v1", "ConfigMap", "ruled")];
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "gone")];
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
  await agent.until(uid, (report) => valuesOf(report)["replicas"] === 1);
  const live = metadataOf(await kube.get(ref));

  await kube.delete(ref, { uid: String(live["uid"]), propagationPolicy: "Background" });

  const report = await agent.until(uid, (report) => !isTrue(report, "Available"));
  expect(valuesOf(report)).toEqual({ replicas: 1 });
  expect(conditionOf(report, "Available", 0)?.reason).toBe("ResourceNotAvailable");
  expect(conditionOf(report, "Ready", 0)).toMatchObject({ status: "False", reason: "NotFound" });
});

test("a work says whether its objects are ready, with numbers, and other kinds say nothing of it", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "ready")];
  await agent.send(uid, 1, {
    manifests: [configMap(ref.name, {}), workload("Deployment", ref.name)],
  });
  const before = await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(kube, ref, { ...replicas(1), availableReplicas: 0 });
  const during = await agent.until(
    uid,
    (report) => conditionOf(report, "Ready", 1)?.message === "0 of 1 replicas are available",
  );
  await setStatus(kube, ref, replicas(1));
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "own")];
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "again")];
  const hub = `ready-${uid}:1`;
  const spec = { manifests: [workload("Deployment", ref.name)] };
  {
    await using first = await startAgent(kube, { hub });
    await first.send(uid, 1, spec);
    await first.until(uid, (report) => isTrue(report, "Applied", 1));
    await setStatus(kube, ref, replicas(1));
    await first.until(uid, (report) => isTrue(report, "Ready", 1));
  }

  // An hour later, so a time that was not kept would show.
  await using second = await startAgent(kube, { hub, nowMs: () => Date.now() + 3_600_000 });
  await second.send(uid, 1, spec, { action: "resync_response" });
  const other = crypto.randomUUID();
  await second.send(other, 1, { manifests: [configMap(`other-${ref.name}`, {})] });
  await second.until(other, (report) => isTrue(report, "Applied", 1));
  await setStatus(kube, ref, { ...replicas(1), availableReplicas: 0 });
  const report = await second.until(uid, () => true);

  // The first word of the new life is news, not what was said before.
  expect(conditionOf(report, "Ready", 0)?.message).toBe("0 of 1 replicas are available");
  expect(second.reports.filter((report) => report.uid === uid)).toHaveLength(1);
});
