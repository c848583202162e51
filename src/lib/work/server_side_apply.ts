/** The ServerSideApply strategy: the API server merges, and knows who owns which field. */

import { isObject, type JsonObject, parseJson } from "../json.ts";
import type { Target } from "./apply.ts";
import { isSatisfied } from "./compare.ts";
import { goObjectHash, SPEC_HASH_ANNOTATION, withoutIgnored } from "./ignore_fields.ts";
import type { Kube } from "./kube_api.ts";
import { mergeMetadata, type Ownership } from "./metadata.ts";
import { patchOwners } from "./owners.ts";
import { FIELD_OWNER, metadataOf } from "./work.ts";

/**
 * Applies a new manifest always, and one that was applied before only if the live object differs from it.
 *
 * With ignored fields the object is left alone as long as it carries the hash of this manifest.
 */
export async function applyServerSide(kube: Kube, target: Target): Promise<JsonObject | undefined> {
  const { ref, ownership, isNew, strategy } = target;
  const manifest = withoutNullTimes(target.manifest);
  const rules = strategy.serverSideApply?.ignoreFields ?? [];
  if (rules.length > 0) return await applyIgnoring(kube, target, manifest);
  if (!isNew) {
    const live = await kube.get(ref);
    if (live !== undefined && isSatisfied(manifest, live, ownership)) return live;
  }
  return await send(kube, target, manifest);
}

async function applyIgnoring(
  kube: Kube,
  target: Target,
  manifest: JsonObject,
): Promise<JsonObject | undefined> {
  const { ref, ownership, strategy } = target;
  const reduced = withoutIgnored(manifest, strategy.serverSideApply?.ignoreFields ?? []);
  const hash = goObjectHash(reduced);
  const live = await kube.get(ref);
  if (live === undefined) return await send(kube, target, annotated(manifest, hash));
  const { annotations } = metadataOf(live);
  if (isObject(annotations) && annotations[SPEC_HASH_ANNOTATION] === hash) {
    return await patchOwners(kube, ref, live, ownership);
  }
  return await send(kube, target, annotated(reduced, hash));
}

function annotated(manifest: JsonObject, hash: string): JsonObject {
  const metadata = metadataOf(manifest);
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  return {
    ...manifest,
    metadata: { ...metadata, annotations: { ...annotations, [SPEC_HASH_ANNOTATION]: hash } },
  };
}

async function send(
  kube: Kube,
  { ref, ownership, strategy }: Target,
  manifest: JsonObject,
): Promise<JsonObject | undefined> {
  const { fieldManager, force } = strategy.serverSideApply ?? {};
  // The owner reference travels with the object, so that no crash can leave it without one.
  const applied = await kube.patch(ref, withOwner(manifest, ownership), {
    type: "apply",
    fieldManager: fieldManager || FIELD_OWNER,
    force: force === true,
  });
  return applied === undefined ? undefined : await patchOwners(kube, ref, applied, ownership);
}

function withOwner(manifest: JsonObject, ownership: Ownership): JsonObject {
  const metadata = metadataOf(manifest);
  const { ownerReferences } = mergeMetadata(
    { ownerReferences: metadata["ownerReferences"] },
    {},
    ownership,
  );
  const rest: JsonObject = { ...metadata };
  delete rest["ownerReferences"];
  return { ...manifest, metadata: ownerReferences ? { ...rest, ownerReferences } : rest };
}

/** Go writes `creationTimestamp: null` into templates; to the server that is a change each time. */
function withoutNullTimes(manifest: JsonObject): JsonObject {
  const copy = parseJson(JSON.stringify(manifest)) as JsonObject;
  removeNullTimes(copy);
  return copy;
}

function removeNullTimes(value: unknown): void {
  if (Array.isArray(value)) value.forEach(removeNullTimes);
  if (!isObject(value)) return;
  for (const [key, member] of Object.entries(value)) {
    if (key === "metadata" && isObject(member) && member["creationTimestamp"] === null) {
      delete member["creationTimestamp"];
    }
    removeNullTimes(member);
  }
}
