/** Creates an object that is probably missing, without reading first. */

import type { JsonObject } from "../json.ts";
import { KubeError } from "./kube_api.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { FIELD_OWNER } from "./work.ts";

/** What came of it: the object was made, or there is one already. */
export type Made = { made: JsonObject } | { live: JsonObject };

/**
 * Creates the object, or returns the one that is there.
 *
 * An API server may have other reasons to refuse before it sees that the object exists (a quota, an address that is taken, a
 * right to create that is missing), so whatever it says, an object that is there counts. Throws the refusal if there is none.
 */
export async function makeOrRead(kube: Kube, ref: ObjectRef, wanted: JsonObject): Promise<Made> {
  try {
    return { made: await kube.create(ref, wanted, { fieldManager: FIELD_OWNER }) };
  } catch (error) {
    if (!(error instanceof KubeError) || error.status < 400 || error.status === 404) throw error;
    const live = await kube.get(ref).catch(() => undefined);
    if (live === undefined) throw error;
    return { live };
  }
}

/** Reads the object, or creates it if it is missing. */
export async function readOrMake(kube: Kube, ref: ObjectRef, wanted: JsonObject): Promise<Made> {
  const live = await kube.get(ref);
  if (live !== undefined) return { live };
  return { made: await kube.create(ref, wanted, { fieldManager: FIELD_OWNER }) };
}
