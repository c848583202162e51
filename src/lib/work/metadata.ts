/** How the metadata of a manifest joins that of the live object. */

import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import { metadataOf } from "./work.ts";

/** A reference from an applied object to the AppliedManifestWork that owns it. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
}

/** Whether objects of a work should carry its owner reference. */
export interface Ownership {
  owner: OwnerReference;
  isOwned: boolean;
}

/**
 * Adds or overwrites the wanted labels or annotations; others stay.
 *
 * A wanted key that ends in `-` removes the key without its dashes.
 */
export function mergeMap(live: unknown, wanted: unknown): JsonObject {
  const merged: JsonObject = isObject(live) ? { ...live } : {};
  for (const [key, value] of Object.entries(isObject(wanted) ? wanted : {})) {
    if (key.endsWith("-")) delete merged[key.replace(/-+$/, "")];
    else merged[key] = value;
  }
  return merged;
}

/** The live owner references with ours added, replaced or removed; the same list if nothing changes. */
export function mergeOwners(live: unknown, { owner, isOwned }: Ownership): JsonObject[] {
  const list = ownersOf(live);
  const index = list.findIndex((entry) => isSameOwner(entry, owner));
  if (!isOwned) return index < 0 ? list : list.filter((_, at) => at !== index);
  const found = list[index];
  if (found === undefined) return [...list, { ...owner }];
  if (found["uid"] === owner.uid && found["apiVersion"] === owner.apiVersion) return list;
  return list.map((entry, at) => at === index ? { ...owner } : entry);
}

/** The owner references of a metadata member, as a list. */
export function ownersOf(references: unknown): JsonObject[] {
  return Array.isArray(references) ? references.filter(isObject) : [];
}

function isSameOwner(entry: JsonObject, owner: OwnerReference): boolean {
  const group = (apiVersion: unknown) => String(apiVersion).split("/")[0];
  return entry["name"] === owner.name && entry["kind"] === owner.kind &&
    group(entry["apiVersion"]) === group(owner.apiVersion);
}

/** The manifest as it is created: no removal marks, our owner reference and no other. */
export function forCreation(manifest: JsonObject, ownership: Ownership): JsonObject {
  const metadata: JsonObject = { ...metadataOf(manifest) };
  for (const key of ["labels", "annotations"]) {
    if (isObject(metadata[key])) metadata[key] = mergeMap({}, metadata[key]);
  }
  delete metadata["ownerReferences"];
  if (ownership.isOwned) metadata["ownerReferences"] = [{ ...ownership.owner }];
  return { ...manifest, metadata };
}

/** The live metadata with labels, annotations and owner of the manifest merged in. */
export function mergeMetadata(
  live: JsonObject,
  manifest: JsonObject,
  ownership: Ownership,
): JsonObject {
  const merged: JsonObject = { ...live };
  const wanted = metadataOf(manifest);
  for (const key of ["labels", "annotations"]) {
    const map = mergeMap(live[key], wanted[key]);
    if (Object.keys(map).length > 0) merged[key] = map;
    else delete merged[key];
  }
  const owners = mergeOwners(live["ownerReferences"], ownership);
  if (owners.length > 0) merged["ownerReferences"] = owners;
  else delete merged["ownerReferences"];
  return merged;
}

/**
 * A short hash-like text of what the agent cares about in an object.
 *
 * Kinds that count generations do not count their status in them; for others any change counts. Of what it only creates
 * the agent cares whose it is.
 */
export function markOf(object: JsonObject, strategy: string | undefined): string {
  const metadata = metadataOf(object);
  const { uid, generation, resourceVersion, labels, annotations, ownerReferences } = metadata;
  if (strategy === "CreateOnly") {
    return `${uid}:${Bun.hash(canonicalJson(ownerReferences ?? [])).toString(36)}`;
  }
  const edition = typeof generation === "number" && generation > 0
    ? `g${generation}`
    : `v${resourceVersion}`;
  const rest = canonicalJson([labels ?? {}, notable(annotations), ownerReferences ?? []]);
  return `${uid}:${edition}:${Bun.hash(rest).toString(36)}`;
}

/** Without what the Deployment controller writes on every rollout. */
function notable(annotations: unknown): JsonObject {
  const kept: JsonObject = isObject(annotations) ? { ...annotations } : {};
  delete kept["deployment.kubernetes.io/revision"];
  return kept;
}
