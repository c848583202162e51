/** Replaces an object, or makes it anew where its kind does not let the change through. */

import type { JsonObject } from "../json.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { FIELD_OWNER, metadataOf, textOf } from "./work.ts";

/** Kinds whose objects hold nothing but what they say, so that a new one is as good as the old one. */
const REMADE = new Set(["Secret", "StorageClass", "CSIDriver"]);

const OPTIONS = { fieldManager: FIELD_OWNER };

/**
 * Writes the object. One that may not be changed is deleted and made anew, for kinds that allow it.
 *
 * The new one is tried by a dry run before the old one goes, and if it is refused all the same, the old one is put back.
 */
export async function replaceOrRemake(
  kube: Kube,
  ref: ObjectRef,
  wanted: JsonObject,
  live: JsonObject,
): Promise<JsonObject> {
  try {
    return await kube.replace(ref, wanted, OPTIONS);
  } catch (error) {
    const isRefused = error instanceof KubeError && error.status === 422;
    if (!isRefused || !REMADE.has(ref.type.kind)) throw error;
  }
  const name = `maestro-dry-run-${crypto.randomUUID().slice(0, 8)}`;
  const fresh = unborn(wanted);
  // The name is taken by the old one, so another stands in for it.
  const trial = { ...fresh, metadata: { ...metadataOf(fresh), name } };
  await kube.create({ ...ref, name }, trial, { ...OPTIONS, isDryRun: true });
  const metadata = metadataOf(live);
  const [uid, resourceVersion] = [textOf(metadata, "uid"), textOf(metadata, "resourceVersion")];
  // As it was read: the new one has what others had written by then, and no more.
  await kube.delete(ref, { uid, resourceVersion, propagationPolicy: "Background" });
  try {
    return await kube.create(ref, fresh, OPTIONS);
  } catch (error) {
    // If somebody else made one meanwhile, that one stays; why ours was refused is what matters.
    await kube.create(ref, unborn(live), OPTIONS).catch(() => {});
    throw error;
  }
}

/** The object without what only the server may say. */
function unborn(object: JsonObject): JsonObject {
  const { name, namespace, labels, annotations, ownerReferences } = metadataOf(object);
  return { ...object, metadata: { name, namespace, labels, annotations, ownerReferences } };
}
