/** The Update strategy: the object becomes what the manifest says, and stays so. */

import { isObject, type JsonObject } from "../json.ts";
import type { Target } from "./apply.ts";
import { isSatisfied, secretAsStored } from "./compare.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube } from "./kube_api.ts";
import { asExact, hasExactSpec, withInjected } from "./kind_rules.ts";
import { makeOrRead, readOrMake } from "./make.ts";
import { forCreation, mergeMetadata } from "./metadata.ts";
import { replaceOrRemake } from "./remake.ts";
import { mergeThreeWay } from "./three_way.ts";
import { metadataOf } from "./work.ts";

/** Attempts when others write the same object, and the pause before each. */
const CONFLICT_PAUSES_MS = [0, 10, 50, 250];

/**
 * Kinds that the server fills with what may not change afterwards (addresses, selectors, volumes). Where nobody noted
 * who wrote what, the manifest is laid over them; any other object is replaced by its manifest.
 */
const LAID_OVER = new Set([
  "Namespace",
  "ServiceAccount",
  "Pod",
  "Service",
  "Job",
  "PersistentVolume",
  "PersistentVolumeClaim",
]);

/**
 * Reads the object, compares it with the manifest (`isSatisfied`), and writes only if it differs.
 *
 * A new manifest is always written, since what it no longer says cannot be seen in the object.
 */
export async function updateObject(kube: Kube, target: Target): Promise<JsonObject | undefined> {
  const { ref, ownership, isNew, isMissing } = target;
  const stored = secretAsStored(target.manifest);
  for (let attempt = 0;; attempt++) {
    if (attempt > 0) await Bun.sleep(CONFLICT_PAUSES_MS[attempt] ?? 0);
    try {
      const fresh = forCreation(stored, ownership);
      const found = isMissing && attempt === 0
        ? await makeOrRead(kube, ref, fresh)
        : await readOrMake(kube, ref, fresh);
      if ("made" in found) return found.made;
      const { live } = found;
      const manifest = withInjected(stored, live);
      const merged = desired(manifest, live);
      const mayHaveMore = isNew || hasExactSpec(manifest);
      const asManifest = { ...merged, metadata: metadataOf(manifest) };
      if (isSatisfied(asManifest, live, ownership) && !(mayHaveMore && loses(merged, live))) {
        return live;
      }
      const metadata = mergeMetadata(metadataOf(live), manifest, ownership);
      return await replaceOrRemake(kube, ref, { ...merged, metadata }, live);
    } catch (error) {
      if (!isRace(error) || attempt + 1 >= CONFLICT_PAUSES_MS.length) throw error;
    }
  }
}

function isRace(error: unknown): boolean {
  return error instanceof KubeError && ["Conflict", "AlreadyExists"].includes(error.reason);
}

function desired(manifest: JsonObject, live: JsonObject): JsonObject {
  const merged = mergeThreeWay(manifest, live);
  const wanted = asExact(merged ?? mergeBlindly(manifest, live), manifest);
  // A custom resource without a status subresource would lose its status.
  const status = manifest["status"] ?? live["status"];
  if (status !== undefined) wanted["status"] = status;
  if (isObject(manifest["aggregationRule"])) wanted["rules"] = live["rules"];
  return wanted;
}

/** Where nobody noted who wrote what. */
function mergeBlindly(manifest: JsonObject, live: JsonObject): JsonObject {
  const isFilledIn = LAID_OVER.has(String(manifest["kind"])) ||
    manifest["type"] === "kubernetes.io/service-account-token";
  return isFilledIn ? layOver(manifest, live) : manifest;
}

function layOver(manifest: JsonObject, live: JsonObject): JsonObject {
  const merged: JsonObject = { ...live };
  for (const [key, value] of Object.entries(manifest)) {
    const current = merged[key];
    if (isObject(value) && isObject(current)) merged[key] = layOver(value, current);
    else if (Array.isArray(value) && Array.isArray(current) && value.length === current.length) {
      merged[key] = value.map((item, index) =>
        isObject(item) && isObject(current[index]) ? layOver(item, current[index]) : item
      );
    } else merged[key] = value;
  }
  return merged;
}

/** True if writing `wanted` might take something out of the live object. */
function loses(wanted: JsonObject, live: JsonObject): boolean {
  return Object.keys(live).some((key) => {
    if (key === "metadata" || key === "status") return false;
    return hasMore(live[key], wanted[key]);
  });
}

function hasMore(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(live)) {
    return !Array.isArray(wanted) || live.some((item, index) => hasMore(item, wanted[index]));
  }
  if (!isObject(live)) return wanted === undefined;
  return !isObject(wanted) || Object.keys(live).some((key) => hasMore(live[key], wanted[key]));
}
