/** Fields of a server-side applied manifest that others may change. */

import { createHash } from "node:crypto";
import { isObject, type JsonObject, parseJson, rawNumber } from "../json.ts";
import type { IgnoreField } from "../wire/work_spec.ts";
import { evaluateJsonPath, parseJsonPath } from "./json_path.ts";
import { Refusal } from "./refusal.ts";

/** The annotation with the hash of the manifest without its ignored fields. */
export const SPEC_HASH_ANNOTATION = "open-cluster-management.io/config-spec-hash";

/** A copy of the manifest without the fields that are to be ignored once the object exists. */
export function withoutIgnored(manifest: JsonObject, rules: readonly IgnoreField[]): JsonObject {
  const copy = parseJson(JSON.stringify(manifest)) as JsonObject;
  for (const { condition, jsonPaths, jsonPointers, jqPathExpressions } of rules) {
    // These fields count: they are sent again whenever the work changes.
    if (condition === "OnSpokeChange") continue;
    for (const path of jsonPaths ?? []) removePath(copy, path);
    for (const pointer of jsonPointers ?? []) removePointer(copy, pointer);
    for (const expression of jqPathExpressions ?? []) {
      throw refusal(`JQ expression error in '${expression}': jq is not supported by this agent`);
    }
  }
  return copy;
}

function removePath(object: JsonObject, path: string): void {
  const dot = path.lastIndexOf(".");
  const key = path.slice(dot + 1);
  try {
    for (const parent of evaluateJsonPath(parseJsonPath(path.slice(0, Math.max(dot, 0))), object)) {
      if (isObject(parent)) delete parent[key];
    }
  } catch {
    // A path that reaches nothing ignores nothing, as with peers.
  }
}

// RFC 6901; a path that is not there is no error, an index beyond a list is.
function removePointer(object: JsonObject, pointer: string): void {
  const fail = (state: string) => refusal(`JSON Pointer error in '${pointer}': ${state}`);
  if (!pointer.startsWith("/")) throw fail("it must start with /");
  const keys = pointer.slice(1).split("/").map((key) =>
    key.replaceAll("~1", "/").replaceAll("~0", "~")
  );
  const last = keys.pop() ?? "";
  let parent: unknown = object;
  for (const key of keys) {
    parent = Array.isArray(parent) ? parent[Number(key)] : isObject(parent) ? parent[key] : null;
    if (parent === undefined || parent === null) return;
  }
  if (Array.isArray(parent)) {
    const index = Number(last);
    if (!/^\d+$/.test(last) || index >= parent.length) throw fail(`invalid index ${last}`);
    parent.splice(index, 1);
  } else if (isObject(parent)) delete parent[last];
}

function refusal(state: string): Refusal {
  return new Refusal("AppliedManifestSSAIgnoreFieldError", state);
}

/**
 * The hash of an object as the Go agent computes it: MD5 of how Go prints it.
 *
 * The same text makes the objects of either agent look unchanged to the other.
 */
export function goObjectHash(object: JsonObject): string {
  return createHash("md5").update(`&{${goText(object)}}`).digest("hex");
}

function goText(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (isObject(value)) {
    const members = Object.keys(value).sort().map((key) => `${key}:${goText(value[key])}`);
    return `map[${members.join(" ")}]`;
  }
  const digits = rawNumber(value);
  if (digits !== undefined) return /^-?\d+$/.test(digits) ? digits : goFloat(Number(digits));
  return typeof value === "number" ? goFloat(value) : String(value);
}

function goFloat(value: number): string {
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 21)) {
    const sign = power < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return value.toLocaleString("en-US", { useGrouping: false, maximumFractionDigits: 20 });
}
