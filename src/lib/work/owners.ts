/** Changes who owns a live object, and nothing else of it. */

import { canonicalJson, type JsonObject } from "../json.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { mergeOwners, type Ownership } from "./metadata.ts";
import { FIELD_OWNER, metadataOf } from "./work.ts";

/** Adds or removes our owner reference on a live object, if that changes anything. */
export async function patchOwners(
  kube: Kube,
  ref: ObjectRef,
  live: JsonObject,
  ownership: Ownership,
): Promise<JsonObject | undefined> {
  const { uid, resourceVersion, ownerReferences } = metadataOf(live);
  const owners = mergeOwners(ownerReferences, ownership);
  if (canonicalJson(owners) === canonicalJson(ownerReferences ?? [])) return live;
  const patch = { metadata: { uid, resourceVersion, ownerReferences: owners } };
  return await kube.patch(ref, patch, { type: "merge", fieldManager: FIELD_OWNER });
}

/** Reads an object that a work only looks at, and ends the ownership that it had while it did more. */
export async function readUnowned(
  kube: Kube,
  { ref, ownership: { owner } }: { ref: ObjectRef; ownership: Ownership },
): Promise<JsonObject | undefined> {
  const live = await kube.get(ref);
  if (live === undefined) return undefined;
  return await patchOwners(kube, ref, live, { owner, isOwned: false });
}
