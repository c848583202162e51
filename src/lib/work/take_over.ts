/**
 * Writes that are tried first, for objects that an earlier life or another agent has applied.
 *
 * What that agent wrote last is not known, so whether a manifest would change its object cannot be told from the two:
 * defaults, fields of others and fields that the manifest no longer names all look the same. The API server knows. It is
 * asked by a dry run, and the write is left out if nothing would change.
 */

import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import type { Kube, ObjectRef, WriteOptions } from "./kube_api.ts";
import { FIELD_OWNER, metadataOf, objectKey, textOf } from "./work.ts";

/** The same API, but an object with this uid is not written if that would change nothing of it. */
export function sparingly(kube: Kube, uid: string | undefined): Kube {
  if (uid === undefined) return kube;
  // Whoever is about to write has just read the object; it is not read twice.
  const seen = new Map<string, JsonObject>();

  const tried = async (
    ref: ObjectRef,
    options: WriteOptions,
    write: (options: WriteOptions) => Promise<JsonObject | undefined>,
    shown: (object: JsonObject) => JsonObject,
  ) => {
    const live = seen.get(objectKey(ref)) ?? await kube.get(ref);
    seen.delete(objectKey(ref));
    if (live === undefined || textOf(metadataOf(live), "uid") !== uid) return await write(options);
    const after = await unlessRefused(write({ ...options, isDryRun: true }));
    const isSame = after !== undefined &&
      canonicalJson(shown(after)) === canonicalJson(shown(live));
    return isSame ? live : await write(options);
  };

  return {
    ...kube,
    async get(ref) {
      const live = await kube.get(ref);
      if (live !== undefined) seen.set(objectKey(ref), live);
      return live;
    },
    async replace(ref, object, options) {
      const write = (given: WriteOptions) => kube.replace(ref, object, given);
      return await tried(ref, options, write, content) as JsonObject;
    },
    async patch(ref, patch, options) {
      const write = (given: WriteOptions) => kube.patch(ref, patch, { ...options, ...given });
      // A merge patch is only sent for a difference that was seen.
      if (options.type === "merge") return await write(options);
      // The fields that a manager no longer applies are given up, even where the object keeps them.
      const shown = (object: JsonObject) => ({
        ...content(object),
        applied: appliedFields(object, options.fieldManager),
      });
      return await tried(ref, options, write, shown);
    },
  };
}

/** Undefined if the dry run is refused, as by a webhook that knows none: the write itself tells why, or succeeds. */
async function unlessRefused(
  run: Promise<JsonObject | undefined>,
): Promise<JsonObject | undefined> {
  try {
    return await run;
  } catch {
    return undefined;
  }
}

/** An object without what the server counts and notes on each write. */
function content(object: JsonObject): JsonObject {
  const { resourceVersion: _, managedFields: __, generation: ___, ...metadata } = metadataOf(
    object,
  );
  return { ...object, metadata };
}

/** The fields that a manager has applied; other agents add the owner reference by a request of its own. */
function appliedFields(object: JsonObject, manager: string): unknown {
  const { managedFields } = metadataOf(object);
  const entries = Array.isArray(managedFields) ? managedFields.filter(isObject) : [];
  const own = entries.find((entry) =>
    entry["manager"] === (manager || FIELD_OWNER) && entry["operation"] === "Apply"
  );
  const fields = own?.["fieldsV1"];
  if (!isObject(fields) || !isObject(fields["f:metadata"])) return fields ?? {};
  const { "f:ownerReferences": _, ...metadata } = fields["f:metadata"];
  const { "f:metadata": __, ...rest } = fields;
  return Object.keys(metadata).length > 0 ? { ...rest, "f:metadata": metadata } : rest;
}
