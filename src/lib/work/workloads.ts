/** The readiness of workloads: how many of the wanted pods there are, new enough and available. */

import { isObject, type JsonObject } from "../json.ts";
import {
  conditionOf,
  count,
  current,
  failed,
  inProgress,
  type Readiness,
  type ReadinessReader,
} from "./kind_status.ts";
import { textOf } from "./work.ts";

const specOf = ({ spec }: JsonObject): JsonObject => isObject(spec) ? spec : {};

/** The first stage that not all pods have reached, or how many have reached the last one. */
function stagesOf(
  wanted: number,
  pods: string,
  stages: readonly (readonly [reached: number, state: string])[],
): Readiness {
  const missing = stages.find(([reached]) => reached < wanted);
  const [reached, state] = missing ?? stages.at(-1) ?? [0, ""];
  const message = `${reached} of ${wanted} ${pods} are ${state}`;
  return missing === undefined ? current(message) : inProgress(message);
}

function unseen(status: JsonObject): Readiness | undefined {
  if (status["observedGeneration"] !== undefined) return undefined;
  return inProgress("The controller has not seen it yet");
}

/** New pods replace old ones; the old ones must be gone as well. */
export const readDeployment: ReadinessReader = (object, status) => {
  const before = unseen(status);
  if (before !== undefined) return before;
  const progress = conditionOf(status, "Progressing");
  if (progress?.reason === "ProgressDeadlineExceeded") {
    return failed(progress.message || "The deployment makes no progress");
  }
  const wanted = count(specOf(object), "replicas", 1);
  const [all, updated] = [count(status, "replicas"), count(status, "updatedReplicas")];
  const stages = stagesOf(wanted, "replicas", [
    [updated, "updated"],
    [count(status, "availableReplicas"), "available"],
  ]);
  if (stages.status === "True" && all > updated) {
    return inProgress(`${all - updated} replicas of an older version are still there`);
  }
  return stages;
};

/** Pods are replaced one after the other, down to the partition. */
export const readStatefulSet: ReadinessReader = (object, status) => {
  const before = unseen(status);
  if (before !== undefined) return before;
  const spec = specOf(object);
  const wanted = count(spec, "replicas", 1);
  const strategy = isObject(spec["updateStrategy"]) ? spec["updateStrategy"] : {};
  const ready = [count(status, "readyReplicas"), "ready"] as const;
  // Whoever deletes the pods himself decides what is new enough.
  if (strategy["type"] === "OnDelete") return stagesOf(wanted, "replicas", [ready]);
  const rolling = isObject(strategy["rollingUpdate"]) ? strategy["rollingUpdate"] : {};
  const partition = count(rolling, "partition");
  const isUpdated = textOf(status, "currentRevision") === textOf(status, "updateRevision");
  // Once a roll-out has ended, the new pods are counted as the current ones.
  const updated = isUpdated
    ? wanted
    : count(status, "updatedReplicas") + Math.min(partition, wanted);
  return stagesOf(wanted, "replicas", [[Math.min(updated, wanted), "updated"], ready]);
};

/** One pod for each node that wants one. */
export const readDaemonSet: ReadinessReader = (_, status) => {
  const before = unseen(status);
  if (before !== undefined) return before;
  return stagesOf(count(status, "desiredNumberScheduled"), "pods", [
    [count(status, "currentNumberScheduled"), "scheduled"],
    [count(status, "updatedNumberScheduled"), "updated"],
    [count(status, "numberReady"), "ready"],
    [count(status, "numberAvailable"), "available"],
  ]);
};

/** Pods of one version. */
export const readReplicaSet: ReadinessReader = (object, status) => {
  const before = unseen(status);
  if (before !== undefined) return before;
  const failure = conditionOf(status, "ReplicaFailure");
  if (failure?.status === "True") return failed(failure.message || "Pods cannot be created");
  return stagesOf(count(specOf(object), "replicas", 1), "replicas", [
    [count(status, "fullyLabeledReplicas"), "created"],
    [count(status, "readyReplicas"), "ready"],
    [count(status, "availableReplicas"), "available"],
  ]);
};
