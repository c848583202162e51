/** The readiness of workloads: how many of the wanted pods there are, new enough and available. */

import { isObject, type JsonObject } from "../json.ts";
import { conditionOf, count, current, failed, inProgress, type Readiness } from "./kind_status.ts";
import { textOf } from "./work.ts";

const specOf = ({ spec }: JsonObject): JsonObject => isObject(spec) ? spec : {};

/** The first stage that not all pods have reached, or how many have reached the last one. */
function stagesOf(
  { wanted, all = 0 }: { wanted: number; all?: number },
  pods: string,
  stages: readonly (readonly [reached: number, state: string])[],
): Readiness {
  const missing = stages.find(([reached]) => reached < wanted);
  const [reached, state] = missing ?? stages.at(-1) ?? [0, ""];
  const message = `${reached} of ${wanted} ${pods} are ${state}`;
  if (missing !== undefined) return inProgress(message);
  return all > wanted
    ? inProgress(`${all} ${pods} are there, ${wanted} are wanted`)
    : current(message);
}

function unseen(status: JsonObject): Readiness | undefined {
  if (status["observedGeneration"] !== undefined) return undefined;
  return inProgress("The controller has not seen it yet");
}

/** New pods replace old ones; the old ones must be gone as well. */
export function readDeployment(object: JsonObject, status: JsonObject): Readiness {
  const before = unseen(status);
  if (before !== undefined) return before;
  const progress = conditionOf(status, "Progressing");
  if (progress?.reason === "ProgressDeadlineExceeded") {
    return failed(progress.message || "The deployment makes no progress");
  }
  const wanted = count(specOf(object), "replicas", 1);
  const [all, updated] = [count(status, "replicas"), count(status, "updatedReplicas")];
  const stages = stagesOf({ wanted, all: updated }, "replicas", [
    [updated, "updated"],
    [count(status, "availableReplicas"), "available"],
  ]);
  if (stages.status === "False" || all <= updated) return stages;
  return inProgress(`${all - updated} replicas of an older version are still there`);
}

/** Pods are replaced one after the other, down to the partition. */
export function readStatefulSet(object: JsonObject, status: JsonObject): Readiness {
  const before = unseen(status);
  if (before !== undefined) return before;
  const spec = specOf(object);
  const wanted = count(spec, "replicas", 1);
  const strategy = isObject(spec["updateStrategy"]) ? spec["updateStrategy"] : {};
  const ready = [count(status, "readyReplicas"), "ready"] as const;
  // Whoever deletes the pods himself decides what is new enough.
  if (strategy["type"] === "OnDelete") return stagesOf({ wanted }, "replicas", [ready]);
  const rolling = isObject(strategy["rollingUpdate"]) ? strategy["rollingUpdate"] : {};
  const partition = count(rolling, "partition");
  const isUpdated = textOf(status, "currentRevision") === textOf(status, "updateRevision");
  // Once a roll-out has ended, the new pods are counted as the current ones.
  const updated = isUpdated
    ? wanted
    : count(status, "updatedReplicas") + Math.min(partition, wanted);
  const all = count(status, "replicas");
  return stagesOf({ wanted, all }, "replicas", [[Math.min(updated, wanted), "updated"], ready]);
}

/** One pod for each node that wants one. */
export function readDaemonSet(_: JsonObject, status: JsonObject): Readiness {
  const before = unseen(status);
  if (before !== undefined) return before;
  return stagesOf({ wanted: count(status, "desiredNumberScheduled") }, "pods", [
    [count(status, "currentNumberScheduled"), "scheduled"],
    [count(status, "updatedNumberScheduled"), "updated"],
    [count(status, "numberReady"), "ready"],
    [count(status, "numberAvailable"), "available"],
  ]);
}

/** Pods of one version. */
export function readReplicaSet(object: JsonObject, status: JsonObject): Readiness {
  const before = unseen(status);
  if (before !== undefined) return before;
  const failure = conditionOf(status, "ReplicaFailure");
  if (failure?.status === "True") return failed(failure.message || "Pods cannot be created");
  const wanted = count(specOf(object), "replicas", 1);
  return stagesOf({ wanted, all: count(status, "replicas") }, "replicas", [
    [count(status, "fullyLabeledReplicas"), "created"],
    [count(status, "readyReplicas"), "ready"],
    [count(status, "availableReplicas"), "available"],
  ]);
}
