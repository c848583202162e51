/** JSON merge patches (RFC 7396). */

import { isObject, type JsonObject } from "./json.ts";

/** Merges a patch into a document, which stays as it is: null removes a member, an object is merged, all else replaces. */
export function mergePatch(document: unknown, patch: JsonObject): JsonObject {
  const merged = new Map(Object.entries(isObject(document) ? document : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, isObject(value) ? mergePatch(merged.get(key), value) : value);
  }
  // From entries, so that a key such as __proto__ stays one of many.
  return Object.fromEntries(merged);
}
