/** Workloads whose statuses the tests write themselves, and rules that read them. */

import type { JsonObject } from "../../src/lib/json.ts";
import type { FeedbackRule, ManifestConfig } from "../../src/lib/wire/work_spec.ts";
import type { Kube, ObjectRef } from "../../src/lib/work/kube_api.ts";
import { refOf } from "../kube/objects.ts";
import { feedbackOf, type Report } from "./one_agent.ts";

export const WELL_KNOWN: FeedbackRule = { type: "WellKnownStatus" };
export const paths = (...jsonPaths: { name: string; path: string }[]): FeedbackRule => ({
  type: "JSONPaths",
  jsonPaths,
});

export function config(
  group: string,
  resource: string,
  name: string,
  rest: Partial<ManifestConfig>,
): ManifestConfig {
  return { resourceIdentifier: { group, resource, name, namespace: "*" }, ...rest };
}

export function workload(kind: "Deployment" | "DaemonSet", name: string): JsonObject {
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

export function job(name: string): JsonObject {
  const container = { name: "c", image: "none" };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace: "default" },
    spec: { template: { spec: { restartPolicy: "Never", containers: [container] } } },
  };
}

export async function setStatus(kube: Kube, ref: ObjectRef, status: JsonObject): Promise<void> {
  const options = { type: "merge", fieldManager: "controller", subresource: "status" } as const;
  await kube.patch(ref, { status }, options);
}

export async function newRef(
  kube: Kube,
  apiVersion: string,
  kind: string,
  prefix: string,
): Promise<ObjectRef> {
  return await refOf(kube, apiVersion, kind, `${prefix}-${crypto.randomUUID().slice(0, 8)}`);
}

export function valuesOf(report: Report, ordinal = 0): JsonObject {
  return Object.fromEntries(
    feedbackOf(report, ordinal).map((
      { name, fieldValue: { integer, string, boolean, jsonRaw } },
    ) => [name, integer ?? string ?? boolean ?? jsonRaw]),
  );
}

export const replicas = (count: number): JsonObject => ({
  observedGeneration: 1,
  replicas: count,
  updatedReplicas: count,
  readyReplicas: count,
  availableReplicas: count,
});

export async function finish(kube: Kube, ref: ObjectRef): Promise<void> {
  const time = "2026-01-01T00:00:00Z";
  const done = { status: "True", lastProbeTime: time, lastTransitionTime: time };
  await setStatus(kube, ref, {
    startTime: time,
    completionTime: time,
    succeeded: 1,
    conditions: [{ type: "SuccessCriteriaMet", ...done }, { type: "Complete", ...done }],
  });
}
