/** What a work wants to know of an object's state: values read by rules. */

import { canonicalJson, escapeLikeGo, type JsonObject, rawNumber } from "../json.ts";
import type { FeedbackRule, JsonPathRule } from "../wire/work_spec.ts";
import type { FeedbackValue, FieldValue } from "../wire/work_status.ts";
import { evaluateJsonPath, parseJsonPath, type Step } from "./json_path.ts";
import { describeError } from "../errors.ts";

/** The values found, and what went wrong with the others. */
export interface Feedback {
  values: FeedbackValue[];
  errors: string[];
}

const conditionStatus = (type: string) => `.status.conditions[?(@.type=="${type}")].status`;

const WELL_KNOWN: Record<string, readonly JsonPathRule[]> = {
  "apps/v1 Deployment": [
    { name: "ReadyReplicas", path: ".status.readyReplicas" },
    { name: "Replicas", path: ".status.replicas" },
    { name: "AvailableReplicas", path: ".status.availableReplicas" },
  ],
  "apps/v1 DaemonSet": [
    { name: "NumberReady", path: ".status.numberReady" },
    { name: "DesiredNumberScheduled", path: ".status.desiredNumberScheduled" },
    { name: "NumberAvailable", path: ".status.numberAvailable" },
  ],
  "batch/v1 Job": [
    { name: "JobComplete", path: conditionStatus("Complete") },
    { name: "JobSucceeded", path: ".status.succeeded" },
  ],
  "v1 Pod": [
    { name: "PodReady", path: conditionStatus("Ready") },
    { name: "PodPhase", path: ".status.phase" },
  ],
};

/** Reads all values in the order of the rules; one that fails does not hold back the others. */
export function readFeedback(
  rules: readonly FeedbackRule[],
  object: JsonObject,
  jsonRawBytesMax: number,
): Feedback {
  const feedback: Feedback = { values: [], errors: [] };
  for (const rule of rules) {
    try {
      for (const path of pathsOf(rule, object)) {
        readPath(path, object, jsonRawBytesMax, feedback);
      }
    } catch (error) {
      feedback.errors.push(describeError(error));
    }
  }
  return feedback;
}

function pathsOf(rule: FeedbackRule, object: JsonObject): readonly JsonPathRule[] {
  if (rule.type === "JSONPaths") return rule.jsonPaths ?? [];
  // A type that we do not know gives no values, as with peers.
  if (rule.type !== "WellKnownStatus") return [];
  const apiVersion = String(object["apiVersion"] ?? "");
  const kind = String(object["kind"] ?? "");
  const found = WELL_KNOWN[`${apiVersion} ${kind}`];
  if (found !== undefined) return found;
  const text = `${apiVersion.includes("/") ? apiVersion : `/${apiVersion}`}, Kind=${kind}`;
  throw new Error(`cannot find the wellknown statuses for resource with gvk ${text}`);
}

function readPath(
  { name, path, version }: JsonPathRule,
  object: JsonObject,
  jsonRawBytesMax: number,
  feedback: Feedback,
): void {
  try {
    const actual = String(object["apiVersion"] ?? "").split("/").at(-1);
    if (version && version !== actual) {
      throw new Error(
        `version set in the path ${name} is not matched for the related resource`,
      );
    }
    const value = toFieldValue(name, resultOf(name, path, object), jsonRawBytesMax);
    if (value !== undefined) feedback.values.push({ name, fieldValue: value });
  } catch (error) {
    feedback.errors.push(describeError(error));
  }
}

/** The one hit, or the list of all; undefined if there is none. */
function resultOf(name: string, path: string, object: JsonObject): unknown {
  let steps: Step[];
  try {
    steps = parseJsonPath(path);
  } catch (cause) {
    throw new Error(
      `failed to parse json path ${path} of ${name} with error: ${describeError(cause)}`,
      { cause },
    );
  }
  try {
    const found = evaluateJsonPath(steps, object);
    return found.length > 1 ? found : found[0];
  } catch (cause) {
    throw new Error(`failed to find value for ${name} with error: ${describeError(cause)}`, {
      cause,
    });
  }
}

const INT64_MAX = 9_223_372_036_854_775_807n;

function toFieldValue(
  name: string,
  value: unknown,
  jsonRawBytesMax: number,
): FieldValue | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return { type: "String", string: value };
  if (typeof value === "boolean") return { type: "Boolean", boolean: value };
  const digits = rawNumber(value) ?? (typeof value === "number" ? String(value) : "");
  if (/^-?\d+$/.test(digits) && isInt64(BigInt(digits))) return { type: "Integer", integer: value };
  const jsonRaw = escapeLikeGo(canonicalJson(value));
  if (Buffer.byteLength(jsonRaw) > jsonRawBytesMax) {
    throw new Error(
      `the length of returned json raw string for name ${name} is larger than the maximum ` +
        `length ${jsonRawBytesMax}`,
    );
  }
  return { type: "JsonRaw", jsonRaw };
}

function isInt64(number: bigint): boolean {
  return number <= INT64_MAX && number >= -INT64_MAX - 1n;
}
