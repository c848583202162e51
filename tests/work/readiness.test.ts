/** When an object is ready, kind by kind. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { DRIFT_PACE } from "../../src/lib/work/drift.ts";
import type { ObjectRef } from "../../src/lib/work/kube_api.ts";
import { mayBeReady, readinessOf } from "../../src/lib/work/readiness.ts";
import { createSight } from "../../src/lib/work/sight.ts";
import type { Slot, Work } from "../../src/lib/work/work.ts";

const condition = (type: string, status: string, message = "", reason = "") => ({
  conditions: [{ type, status, message, reason }],
});

function read(kind: string, object: JsonObject): string {
  const [group = "", name = ""] = kind.split("/");
  const found = readinessOf({ group, kind: name }, object);
  return found === undefined ? "nothing" : `${found.status} ${found.reason}: ${found.message}`;
}

const seen = { observedGeneration: 2 };
const replicas = (wanted: number, status: JsonObject, more: JsonObject = {}) => ({
  metadata: { generation: 2 },
  spec: { replicas: wanted, ...more },
  status: { ...seen, ...status },
});

test.each([
  ["apps/Deployment", { spec: {} }, "False InProgress: The controller has not seen it yet"],
  [
    "apps/Deployment",
    { metadata: { generation: 3 }, status: { ...seen } },
    "False InProgress: The controller has seen generation 2 of 3",
  ],
  [
    "apps/Deployment",
    replicas(3, { updatedReplicas: 1 }),
    "False InProgress: 1 of 3 replicas are updated",
  ],
  [
    "apps/Deployment",
    replicas(3, { replicas: 3, updatedReplicas: 3, availableReplicas: 2 }),
    "False InProgress: 2 of 3 replicas are available",
  ],
  [
    "apps/Deployment",
    replicas(1, { replicas: 2, updatedReplicas: 1, availableReplicas: 1 }),
    "False InProgress: 1 replicas of an older version are still there",
  ],
  [
    "apps/Deployment",
    replicas(3, { replicas: 3, updatedReplicas: 3, availableReplicas: 3 }),
    "True Current: 3 of 3 replicas are available",
  ],
  [
    "apps/Deployment",
    replicas(1, { replicas: 2, updatedReplicas: 2, availableReplicas: 2 }),
    "False InProgress: 2 replicas are there, 1 are wanted",
  ],
  ["apps/Deployment", replicas(0, {}), "True Current: 0 of 0 replicas are available"],
  [
    "apps/Deployment",
    replicas(1, condition("Progressing", "False", "too slow", "ProgressDeadlineExceeded")),
    "False Failed: too slow",
  ],
  [
    "apps/StatefulSet",
    replicas(2, { updateRevision: "b", currentRevision: "a", updatedReplicas: 1 }),
    "False InProgress: 1 of 2 replicas are updated",
  ],
  [
    "apps/StatefulSet",
    replicas(2, { updateRevision: "b", currentRevision: "b", readyReplicas: 1 }),
    "False InProgress: 1 of 2 replicas are ready",
  ],
  [
    "apps/StatefulSet",
    replicas(
      2,
      { updateRevision: "b", currentRevision: "a", updatedReplicas: 1, readyReplicas: 2 },
      {
        updateStrategy: { rollingUpdate: { partition: 1 } },
      },
    ),
    "True Current: 2 of 2 replicas are ready",
  ],
  [
    "apps/StatefulSet",
    replicas(1, { readyReplicas: 1, updateRevision: "b" }, {
      updateStrategy: { type: "OnDelete" },
    }),
    "True Current: 1 of 1 replicas are ready",
  ],
  ["apps/DaemonSet", {
    status: {
      ...seen,
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      updatedNumberScheduled: 2,
      numberReady: 1,
    },
  }, "False InProgress: 1 of 2 pods are ready"],
  ["apps/DaemonSet", {
    status: {
      ...seen,
      desiredNumberScheduled: 1,
      currentNumberScheduled: 1,
      updatedNumberScheduled: 1,
      numberReady: 1,
      numberAvailable: 1,
    },
  }, "True Current: 1 of 1 pods are available"],
  [
    "apps/ReplicaSet",
    replicas(2, { fullyLabeledReplicas: 2, readyReplicas: 1 }),
    "False InProgress: 1 of 2 replicas are ready",
  ],
  [
    "apps/ReplicaSet",
    replicas(2, condition("ReplicaFailure", "True", "quota")),
    "False Failed: quota",
  ],
  [
    "batch/Job",
    { spec: { completions: 3 }, status: { succeeded: 1, active: 2 } },
    "False InProgress: 1 of 3 completions, 2 pods are active",
  ],
  ["batch/Job", { status: condition("Complete", "True") }, "True Current: The job is complete"],
  ["batch/Job", { status: condition("Failed", "True", "no luck") }, "False Failed: no luck"],
  [
    "batch/Job",
    { status: condition("Suspended", "True") },
    "False InProgress: The job is suspended, 0 of 1 completions",
  ],
  [
    "/Pod",
    { status: { phase: "Running", ...condition("Ready", "True") } },
    "True Current: The pod is ready",
  ],
  ["/Pod", { status: { phase: "Succeeded" } }, "True Current: The pod has completed"],
  ["/Pod", { status: { phase: "Failed", message: "evicted" } }, "False Failed: evicted"],
  [
    "/Pod",
    { status: { phase: "Pending", ...condition("PodScheduled", "False", "no node") } },
    "False InProgress: no node",
  ],
  [
    "/Pod",
    {
      status: {
        phase: "Running",
        containerStatuses: [{ name: "c", state: { waiting: { reason: "CrashLoopBackOff" } } }],
      },
    },
    "False Failed: Container c crashes again and again",
  ],
  ["/PersistentVolumeClaim", { status: { phase: "Bound" } }, "True Current: The claim is bound"],
  ["/PersistentVolumeClaim", { status: {} }, "False InProgress: The claim is Pending"],
  ["/Service", { spec: { type: "ClusterIP" } }, "True Current: The service is there"],
  [
    "/Service",
    { spec: { type: "LoadBalancer" } },
    "False InProgress: The load balancer has no address yet",
  ],
  ["/Service", {
    spec: { type: "LoadBalancer" },
    status: { loadBalancer: { ingress: [{ ip: "1.2.3.4" }] } },
  }, "True Current: The load balancer has an address"],
  [
    "apiextensions.k8s.io/CustomResourceDefinition",
    { status: condition("Established", "True") },
    "True Current: The definition is established",
  ],
  ["apiextensions.k8s.io/CustomResourceDefinition", {
    status: condition("NamesAccepted", "False", "taken"),
  }, "False Failed: taken"],
  [
    "policy/PodDisruptionBudget",
    { status: { ...seen, currentHealthy: 1, desiredHealthy: 2 } },
    "False InProgress: 1 of 2 pods are healthy",
  ],
  [
    "apiregistration.k8s.io/APIService",
    { status: condition("Available", "False", "no endpoints") },
    "False InProgress: no endpoints",
  ],
  ["example.com/Thing", {}, "nothing"],
  ["example.com/Thing", { status: { anything: 1 } }, "nothing"],
  [
    "example.com/Thing",
    { status: { observedGeneration: 1 } },
    "True Current: The resource is reconciled",
  ],
  ["example.com/Thing", {
    metadata: { generation: 2 },
    status: { observedGeneration: 1, ...condition("Ready", "True") },
  }, "False InProgress: The controller has seen generation 1 of 2"],
  [
    "example.com/Thing",
    { status: condition("Ready", "True", "all fine") },
    "True Current: all fine",
  ],
  [
    "example.com/Thing",
    { status: condition("Ready", "False") },
    "False InProgress: The resource is not ready",
  ],
  ["example.com/Thing", { status: condition("Ready", "Unknown") }, "Unknown Unknown: Nobody knows"],
  ["example.com/Thing", { status: condition("Stalled", "True", "stuck") }, "False Failed: stuck"],
  [
    "example.com/Thing",
    { status: condition("Reconciling", "True") },
    "False InProgress: The resource is being reconciled",
  ],
  [
    "apps/Deployment",
    { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } },
    "False Terminating: The object is being deleted",
  ],
  ["/ConfigMap", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }, "nothing"],
] as [string, JsonObject, string][])("a %s of %j is %s", (kind, object, expected) => {
  expect(read(kind, object)).toBe(expected);
});

test("only kinds that may become ready are read as a whole", () => {
  const kinds = [
    "/ConfigMap",
    "/Secret",
    "rbac.authorization.k8s.io/Role",
    "networking.k8s.io/Ingress",
    "apps/ControllerRevision",
  ];
  const others = [
    "apps/Deployment",
    "/Pod",
    "cert-manager.io/Certificate",
    "gateway.networking.k8s.io/Gateway",
  ];
  const may = (kind: string) =>
    mayBeReady({ group: kind.split("/")[0] ?? "", kind: kind.split("/")[1] ?? "" });

  expect(kinds.map(may)).toEqual(kinds.map(() => false));
  expect(others.map(may)).toEqual(others.map(() => true));
});

test("of an object that may be ready more than its metadata is read", () => {
  const ref: ObjectRef = {
    type: {
      group: "apps",
      version: "v1",
      kind: "Deployment",
      resource: "deployments",
      isNamespaced: true,
    },
    namespace: "default",
    name: "web",
  };
  const { group, version, kind, resource } = ref.type;
  const slot: Slot = {
    meta: { ordinal: 0, group, version, kind, resource, name: "web", namespace: "default" },
    ref,
    conditions: [],
    values: [],
    options: { feedbackRules: [], conditionRules: [], updateStrategy: {} },
    isDrifted: false,
    isKnown: false,
  };
  const work = { uid: "w", version: 1, slots: [slot] } as unknown as Work;
  const asked: string[] = [];
  const told = { changed() {}, drifted() {}, read: ({ name }: ObjectRef) => void asked.push(name) };
  const sight = createSight(new Map([["w", work]]), told, {
    nowMs: Date.now,
    jsonRawBytesMax: 1024,
    pace: DRIFT_PACE,
    witness: undefined,
  });
  const metadata = { name: "web", uid: "u", resourceVersion: "7", generation: 1 };

  sight.see("w", ref, { object: { metadata }, resourceVersion: "7", isPartial: true });
  const before = [...slot.conditions];
  const status = { observedGeneration: 1, updatedReplicas: 1, availableReplicas: 1 };
  sight.see("w", ref, { object: { metadata, status }, resourceVersion: "7", isPartial: false });

  expect(asked).toEqual(["web"]);
  expect(before).toEqual([]);
  expect(slot.conditions.find(({ type }) => type === "Ready")?.status).toBe("True");
});
