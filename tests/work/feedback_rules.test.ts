/** Feedback on a real API server, whose statuses the tests write themselves. */

import { afterAll, expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { FeedbackRule } from "../../src/lib/wire/work_spec.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { openKubeconfig, WRITER } from "../kube/objects.ts";
import { conditionOf, feedbackOf, isTrue, type Report, startAgent } from "./one_agent.ts";
import {
  config,
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

const forDeployments = (name: string, ...feedbackRules: FeedbackRule[]) =>
  config("apps", "deployments", name, { feedbackRules });

async function untilValues(uid: string, values: JsonObject, ordinal = 0): Promise<Report> {
  return await agent.until(uid, (report) => Bun.deepEquals(valuesOf(report, ordinal), values));
}

test("A43, A99: the well-known values of a Deployment are reported and followed", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "known")];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [forDeployments(ref.name, WELL_KNOWN)],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(kube, ref, replicas(1));
  await untilValues(uid, { ReadyReplicas: 1, Replicas: 1, AvailableReplicas: 1 });
  await setStatus(kube, ref, replicas(2));

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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "pattern")];
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "beside")];
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
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "Deployment", "raw")];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", ref.name)],
    manifestConfigs: [forDeployments(ref.name, paths({ name: "c", path: ".status.conditions" }))],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(kube, ref, { conditions: [{ type: "Available", status: "True" }] });

  const report = await agent.until(uid, (report) => feedbackOf(report).length > 0);
  expect(feedbackOf(report)[0]?.fieldValue).toEqual({
    type: "JsonRaw",
    jsonRaw:
      '[{"lastTransitionTime":null,"lastUpdateTime":null,"status":"True","type":"Available"}]',
  });
  expect(isTrue(report, "Applied", 1) && isTrue(report, "Available", 1)).toBeTrue();
});

test("A48: the well-known values of a DaemonSet", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "apps/v1", "DaemonSet", "daemons")];
  await agent.send(uid, 1, {
    manifests: [workload("DaemonSet", ref.name)],
    manifestConfigs: [config("apps", "daemonsets", "*", { feedbackRules: [WELL_KNOWN] })],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(kube, ref, {
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
    await newRef(kube, "apps/v1", "Deployment", "both-a"),
    await newRef(kube, "apps/v1", "Deployment", "both-b"),
  ];
  await agent.send(uid, 1, {
    manifests: [workload("Deployment", one.name), workload("Deployment", two.name)],
    manifestConfigs: [
      forDeployments(one.name, paths({ name: "first", path: ".spec.replicas" })),
      forDeployments("both-*", WELL_KNOWN, paths({ name: "more", path: ".metadata.name" })),
    ],
  });
  await agent.until(uid, (report) => isTrue(report, "Applied", 1));

  await setStatus(kube, one, replicas(1));
  await setStatus(kube, two, replicas(3));

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

test("A111: a read-only Secret gives its members as raw JSON", async () => {
  const [uid, ref] = [crypto.randomUUID(), await newRef(kube, "v1", "Secret", "token")];
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
