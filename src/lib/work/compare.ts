/**
 * Whether a live object already is what a manifest wants.
 *
 * A member of the manifest must be equal in the object; what the manifest does not name is the server's
 * business (defaults, status, fields of others). Some members belong to the manifest alone: there an extra
 * entry is a difference too.
 */

import { isObject, type JsonObject, rawNumber } from "../json.ts";
import { exactMembers } from "./kind_rules.ts";
import { mergeMap, mergeOwners, type Ownership } from "./metadata.ts";
import { metadataOf } from "./work.ts";

/** True if applying the manifest would change nothing. */
export function isSatisfied(
  manifest: JsonObject,
  live: JsonObject,
  ownership: Ownership,
): boolean {
  const wanted = secretAsStored(manifest);
  for (const key of Object.keys(wanted)) {
    if (key === "metadata" || key === "status") continue;
    if (!isSubset(wanted[key], live[key])) return false;
  }
  for (const key of exactMembers(wanted)) {
    if (!isSubset(live[key] ?? {}, wanted[key] ?? {})) return false;
  }
  const [meta, liveMeta] = [metadataOf(wanted), metadataOf(live)];
  for (const key of ["labels", "annotations"]) {
    if (!isSubset(mergeMap(liveMeta[key], meta[key]), liveMeta[key] ?? {})) return false;
    if (!isSubset(liveMeta[key] ?? {}, mergeMap(liveMeta[key], meta[key]))) return false;
  }
  const owners = liveMeta["ownerReferences"];
  const merged = mergeOwners(owners, ownership);
  return merged.length === (Array.isArray(owners) ? owners.length : 0) &&
    isSubset(merged, owners ?? []);
}

/** A Secret with its `stringData` where the server puts it. */
export function secretAsStored(manifest: JsonObject): JsonObject {
  const { stringData, ...rest } = manifest;
  if (manifest["kind"] !== "Secret" || !isObject(stringData)) return manifest;
  const data: JsonObject = { ...(isObject(rest["data"]) ? rest["data"] : {}) };
  for (const [key, value] of Object.entries(stringData)) {
    data[key] = Buffer.from(String(value)).toString("base64");
  }
  return { ...rest, data };
}

/** True if everything in `wanted` is in `live`. Absent, null and empty are the same. */
function isSubset(wanted: unknown, live: unknown): boolean {
  if (isEmpty(wanted)) return isEmpty(live) || !isLeaf(live);
  if (Array.isArray(wanted)) {
    // The server leaves out empty lists.
    if (wanted.length === 0 && isEmpty(live)) return true;
    return Array.isArray(live) && live.length === wanted.length &&
      wanted.every((item, index) => isSubset(item, live[index]));
  }
  if (isObject(wanted)) {
    return isObject(live) && Object.keys(wanted).every((key) => isSubset(wanted[key], live[key]));
  }
  return numberText(wanted) === numberText(live) && isLeaf(live);
}

// An empty object asks for nothing that the server would not add by itself.
function isEmpty(value: unknown): boolean {
  return value === undefined || value === null ||
    (isObject(value) && Object.keys(value).length === 0);
}

function isLeaf(value: unknown): boolean {
  return value !== undefined && value !== null && !Array.isArray(value) && !isObject(value);
}

function numberText(value: unknown): string {
  const digits = rawNumber(value);
  if (digits !== undefined) return String(Number(digits)) === digits ? digits : `raw ${digits}`;
  return `${typeof value === "number" ? "" : typeof value} ${String(value)}`.trim();
}
