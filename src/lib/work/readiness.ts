/**
 * Whether an object does what it is there for, by what its controller says in its status.
 *
 * The rules are those of kstatus, which Flux and kpt share, with one difference: a Job is ready when it is
 * complete, not when it has started.
 */

import { isObject, type JsonObject } from "../json.ts";
import type { ResourceMeta } from "../wire/work_status.ts";
import {
  conditionOf,
  count,
  current,
  failed,
  inProgress,
  type Readiness,
  type ReadinessReader,
} from "./kind_status.ts";
import { readDaemonSet, readDeployment, readReplicaSet, readStatefulSet } from "./workloads.ts";
import { metadataOf, textOf } from "./work.ts";

/** Kinds of Kubernetes itself that have something to wait for. */
const READERS: Record<string, ReadinessReader> = {
  "apps/Deployment": readDeployment,
  "apps/StatefulSet": readStatefulSet,
  "apps/DaemonSet": readDaemonSet,
  "apps/ReplicaSet": readReplicaSet,
  "batch/Job": readJob,
  "/Pod": readPod,
  "/PersistentVolumeClaim": (_, status) => {
    const phase = textOf(status, "phase") || "Pending";
    return phase === "Bound"
      ? current("The claim is bound")
      : phase === "Lost"
      ? failed("The claim has lost its volume")
      : inProgress(`The claim is ${phase}`);
  },
  "/Service": readService,
  "apiextensions.k8s.io/CustomResourceDefinition": (_, status) => {
    const names = conditionOf(status, "NamesAccepted");
    if (names?.status === "False") return failed(names.message || "The names are not accepted");
    return conditionOf(status, "Established")?.status === "True"
      ? current("The definition is established")
      : inProgress("The definition is not established yet");
  },
  "policy/PodDisruptionBudget": (_, status) => {
    const [healthy, wanted] = [count(status, "currentHealthy"), count(status, "desiredHealthy")];
    const message = `${healthy} of ${wanted} pods are healthy`;
    return healthy >= wanted ? current(message) : inProgress(message);
  },
  "apiregistration.k8s.io/APIService": (_, status) => {
    const found = conditionOf(status, "Available");
    return found?.status === "True"
      ? current("The API is available")
      : inProgress(found?.message || "The API is not available yet");
  },
};

/** Groups whose kinds have no readiness unless they are listed above. All others are custom resources. */
const OWN_GROUPS = new Set(["", "apps", "autoscaling", "batch", "extensions", "policy"]);
const OWN_DOMAINS =
  /^(admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates|coordination|discovery|events|(flowcontrol|internal)\.apiserver|networking|node|rbac\.authorization|resource|scheduling|storage|storagemigration)\.k8s\.io$/;

function readerOf(
  { group, kind }: Pick<ResourceMeta, "group" | "kind">,
): ReadinessReader | undefined {
  const found = READERS[`${group}/${kind}`];
  if (found !== undefined) return found;
  return OWN_GROUPS.has(group) || OWN_DOMAINS.test(group) ? undefined : readCustom;
}

/** True for kinds that may become ready, whose objects are therefore read as a whole. */
export function mayBeReady(meta: Pick<ResourceMeta, "group" | "kind">): boolean {
  return readerOf(meta) !== undefined;
}

/** The readiness of an object; undefined if its kind, or its controller, says nothing of it. */
export function readinessOf(
  meta: Pick<ResourceMeta, "group" | "kind">,
  object: JsonObject,
): Readiness | undefined {
  const read = readerOf(meta);
  if (read === undefined) return undefined;
  const status = isObject(object["status"]) ? object["status"] : {};
  const metadata = metadataOf(object);
  if (metadata["deletionTimestamp"]) {
    return { status: "False", reason: "Terminating", message: "The object is being deleted" };
  }
  const [generation, observed] = [
    count(metadata, "generation"),
    count(status, "observedGeneration", Infinity),
  ];
  if (observed < generation) {
    return inProgress(`The controller has seen generation ${observed} of ${generation}`);
  }
  return read(object, status);
}

function readJob({ spec }: JsonObject, status: JsonObject): Readiness {
  const wanted = isObject(spec) ? count(spec, "completions", 1) : 1;
  const done = `${count(status, "succeeded")} of ${wanted} completions`;
  const failure = conditionOf(status, "Failed") ?? conditionOf(status, "FailureTarget");
  if (failure?.status === "True") return failed(failure.message || "The job has failed");
  if (conditionOf(status, "Complete")?.status === "True") return current(`The job is complete`);
  if (conditionOf(status, "Suspended")?.status === "True") {
    return inProgress(`The job is suspended, ${done}`);
  }
  return inProgress(`${done}, ${count(status, "active")} pods are active`);
}

function readPod(_: JsonObject, status: JsonObject): Readiness {
  const phase = textOf(status, "phase") || "Pending";
  if (phase === "Succeeded") return current("The pod has completed");
  if (phase === "Failed") return failed(textOf(status, "message") || "The pod has failed");
  if (conditionOf(status, "Ready")?.status === "True") return current("The pod is ready");
  const containers = [status["initContainerStatuses"], status["containerStatuses"]]
    .flatMap((list) => Array.isArray(list) ? list.filter(isObject) : []);
  const crashing = containers.find((container) => waitingReason(container) === "CrashLoopBackOff");
  if (crashing !== undefined) {
    return failed(`Container ${textOf(crashing, "name")} crashes again and again`);
  }
  const waiting = conditionOf(status, "PodScheduled");
  const problem = waiting?.status === "False" ? waiting.message : "";
  return inProgress(problem || `The pod is ${phase} and not ready`);
}

function waitingReason({ state }: JsonObject): string {
  const waiting = isObject(state) ? state["waiting"] : undefined;
  return isObject(waiting) ? textOf(waiting, "reason") : "";
}

function readService({ spec }: JsonObject, { loadBalancer }: JsonObject): Readiness {
  if (!isObject(spec) || spec["type"] !== "LoadBalancer") return current("The service is there");
  const ingress = isObject(loadBalancer) ? loadBalancer["ingress"] : undefined;
  return Array.isArray(ingress) && ingress.length > 0
    ? current("The load balancer has an address")
    : inProgress("The load balancer has no address yet");
}

/** By the conditions that controllers agree on. A resource whose status has none of them says nothing. */
function readCustom(_: JsonObject, status: JsonObject): Readiness | undefined {
  const stalled = conditionOf(status, "Stalled");
  if (stalled?.status === "True") return failed(stalled.message || "The resource is stalled");
  const reconciling = conditionOf(status, "Reconciling");
  if (reconciling?.status === "True") {
    return inProgress(reconciling.message || "The resource is being reconciled");
  }
  const ready = conditionOf(status, "Ready");
  if (ready === undefined) {
    return status["observedGeneration"] === undefined
      ? undefined
      : current("The resource is reconciled");
  }
  if (ready.status === "True") return current(ready.message || "The resource is ready");
  if (ready.status === "False") return inProgress(ready.message || "The resource is not ready");
  return { status: "Unknown", reason: "Unknown", message: ready.message || "Nobody knows" };
}
