/** What the readers of readiness share. */

import { isObject, type JsonObject, rawNumber } from "../json.ts";
import type { Condition } from "../wire/work_status.ts";
import { textOf } from "./work.ts";

/** How far an object is; the message says what is missing. */
export interface Readiness {
  status: Condition["status"];
  reason: "Current" | "InProgress" | "Failed" | "Terminating" | "Unknown";
  message: string;
}

/** Reads the status of one kind. */
export type ReadinessReader = (object: JsonObject, status: JsonObject) => Readiness | undefined;

/** It is as it should be. */
export const current = (message: string): Readiness => ({
  status: "True",
  reason: "Current",
  message,
});
/** Something is still to come. */
export const inProgress = (message: string): Readiness => ({
  status: "False",
  reason: "InProgress",
  message,
});
/** It will not get there by waiting. */
export const failed = (message: string): Readiness => ({
  status: "False",
  reason: "Failed",
  message,
});

/** A condition of an object's status. */
export function conditionOf(
  status: JsonObject,
  type: string,
): { status: string; reason: string; message: string } | undefined {
  const { conditions } = status;
  if (!Array.isArray(conditions)) return undefined;
  const found = conditions.filter(isObject).find((condition) => condition["type"] === type);
  if (found === undefined) return undefined;
  return {
    status: textOf(found, "status"),
    reason: textOf(found, "reason"),
    message: textOf(found, "message"),
  };
}

/** A member that counts something; absent means zero, or what is given. */
export function count(object: JsonObject, key: string, otherwise = 0): number {
  const value = object[key];
  return value === undefined || value === null ? otherwise : Number(rawNumber(value) ?? value) || 0;
}
