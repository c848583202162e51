/** Fields of a server-side applied manifest that others may change. */

import { createHash } from "node:crypto";
import { describeError } from "../errors.ts";
import { isObject, type JsonObject, parseJson, rawNumber } from "../json.ts";
import type { IgnoreField } from "../wire/work_spec.ts";
import { formatDouble } from "./go_number.ts";
import { evaluateJsonPath, parseJsonPath } from "./json_path.ts";
import { Refusal } from "./refusal.ts";

/** The annotation with the hash of the manifest without its ignored fields. */
export const SPEC_HASH_ANNOTATION = "open-cluster-management.io/config-spec-hash";

/** Runs a jq expression; every result of it. */
type RunJq = (expression: string, input: unknown) => unknown[];

/** Removes the fields of rules from objects. */
export interface Remover {
  /** Without the fields that are sent once: to what the manifest is reduced when the work changes. */
  withoutPresent(object: JsonObject): JsonObject;
  /** Without all ignored fields: what is held against changes on the cluster. */
  withoutAll(object: JsonObject): JsonObject;
}

/** Prepares the rules of a manifest. What jq needs is loaded when a rule is written in it. */
export async function openRemover(rules: readonly IgnoreField[]): Promise<Remover> {
  const runJq = rules.some(({ jqPathExpressions }) => jqPathExpressions?.length)
    ? (await import("./jq/run.ts")).runJq
    : () => [];
  // Fields of the other condition count: they are sent again whenever the work changes.
  const present = rules.filter(({ condition }) => condition !== "OnSpokeChange");
  return {
    withoutPresent: (object) => without(object, present, runJq),
    withoutAll: (object) => without(object, rules, runJq),
  };
}

function without(object: JsonObject, rules: readonly IgnoreField[], runJq: RunJq): JsonObject {
  let copy = parseJson(JSON.stringify(object)) as JsonObject;
  for (const { jsonPaths, jsonPointers, jqPathExpressions } of rules) {
    for (const path of jsonPaths ?? []) removePath(copy, path);
    for (const pointer of jsonPointers ?? []) removePointer(copy, pointer);
    for (const expression of jqPathExpressions ?? []) copy = removeByJq(copy, expression, runJq);
  }
  return copy;
}

function removeByJq(object: JsonObject, expression: string, runJq: RunJq): JsonObject {
  const fail = (state: string) => refusal(`JQ expression error in '${expression}': ${state}`);
  let results: unknown[];
  try {
    results = runJq(`del(${expression})`, object);
  } catch (error) {
    throw fail(describeError(error));
  }
  const [result] = results;
  if (results.length !== 1) throw fail(`it must have one result, it has ${results.length}`);
  if (!isObject(result)) throw fail("its result must be an object");
  return result;
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
  if (digits !== undefined && /^-?\d+$/.test(digits)) return digits;
  const number = digits === undefined ? value : Number(digits);
  return typeof number === "number" ? formatDouble(number, 21) : String(number);
}
