/** What the Deployment controller would write, had there been one, and pods that start at once. */

import { canonicalJson, isObject, type JsonObject } from "../json.ts";

const HASH_LENGTH = 10;

/** The status of a Deployment whose pods all run; its conditions keep their transition times. */
export function availableStatus(deployment: JsonObject, now: string): JsonObject {
  const metadata = deployment["metadata"] as JsonObject;
  const spec = isObject(deployment["spec"]) ? deployment["spec"] : {};
  const before = isObject(deployment["status"]) ? deployment["status"] : {};
  const replicas = typeof spec["replicas"] === "number" ? spec["replicas"] : 1;
  // Go leaves out a number that is zero.
  const counts = replicas === 0 ? {} : {
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
  };
  const hash = new Bun.CryptoHasher("sha256").update(canonicalJson(spec["template"] ?? {}))
    .digest("hex").slice(0, HASH_LENGTH);
  const conditions = [
    {
      type: "Available",
      status: "True",
      reason: "MinimumReplicasAvailable",
      message: "Deployment has minimum availability.",
    },
    {
      type: "Progressing",
      status: "True",
      reason: "NewReplicaSetAvailable",
      message: `ReplicaSet "${metadata["name"]}-${hash}" has successfully progressed.`,
    },
  ];
  return {
    observedGeneration: metadata["generation"],
    ...counts,
    conditions: conditions.map((condition) => ({
      ...condition,
      ...timesOf(condition, before["conditions"], now),
    })),
  };
}

function timesOf(
  condition: { type: string; status: string; message: string },
  before: unknown,
  now: string,
): { lastUpdateTime: unknown; lastTransitionTime: unknown } {
  const known: unknown[] = Array.isArray(before) ? before : [];
  const old = known.find((each): each is JsonObject =>
    isObject(each) && each["type"] === condition.type && each["status"] === condition.status
  );
  return {
    lastUpdateTime: old?.["message"] === condition.message ? old["lastUpdateTime"] : now,
    lastTransitionTime: old?.["lastTransitionTime"] ?? now,
  };
}
