/** The rules of a Kubernetes object in a simulated cluster: merging, and the metadata that the server keeps. */

import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import { KubeError, type ObjectRef } from "../work/kube_api.ts";

/** A JSON merge patch (RFC 7386). */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const merged: JsonObject = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else if (isObject(value)) {
      merged[key] = mergePatch(isObject(merged[key]) ? merged[key] : {}, value);
    } else merged[key] = value;
  }
  return merged;
}

/** The metadata of an object; never undefined. */
export function metadataOf(object: JsonObject): JsonObject {
  return isObject(object["metadata"]) ? object["metadata"] : {};
}

/** What a new object looks like once the server has taken it in; its status is for controllers to write. */
export function newObject(ref: ObjectRef, given: JsonObject, now: string): JsonObject {
  const { status: _, metadata: __, ...rest } = given;
  return {
    ...rest,
    metadata: {
      ...metadataOf(given),
      name: ref.name,
      ...(ref.type.isNamespaced ? { namespace: ref.namespace } : {}),
      uid: crypto.randomUUID(),
      creationTimestamp: now,
      ...(given["spec"] === undefined ? {} : { generation: 1 }),
    },
  };
}

/**
 * What an object looks like after a write: the server's own fields stay, and either all but the status may change or
 * only the status. Throws a conflict if `given` names another uid or an old resourceVersion.
 */
export function changedObject(
  ref: ObjectRef,
  before: JsonObject,
  given: JsonObject,
  subresource?: "status",
): JsonObject {
  const old = metadataOf(before);
  for (const key of ["uid", "resourceVersion"]) {
    const expected = metadataOf(given)[key];
    if (expected !== undefined && expected !== old[key]) throw modified(ref);
  }
  if (subresource === "status") return withMember(before, "status", given["status"]);
  const kept: JsonObject = { ...given, metadata: { ...metadataOf(given) } };
  const metadata = kept["metadata"] as JsonObject;
  for (const key of OWN_FIELDS) {
    if (old[key] === undefined) delete metadata[key];
    else metadata[key] = old[key];
  }
  if (typeof old["generation"] === "number" && contentOf(before) !== contentOf(kept)) {
    metadata["generation"] = old["generation"] + 1;
  }
  return withMember(kept, "status", before["status"]);
}

/** True if a write would change nothing: then there is no new version and nobody is told. */
export function isSame(before: JsonObject, after: JsonObject): boolean {
  return canonicalJson(before) === canonicalJson(after);
}

/** The uids of those on whom an object's life depends. */
export function ownersOf(object: JsonObject): string[] {
  const references = metadataOf(object)["ownerReferences"];
  const list: unknown[] = Array.isArray(references) ? references : [];
  return list.filter(isObject).map((reference) => String(reference["uid"]));
}

/** True if somebody still has to do something before the object may go. */
export function hasFinalizers(object: JsonObject): boolean {
  const finalizers = metadataOf(object)["finalizers"];
  return Array.isArray(finalizers) && finalizers.length > 0;
}

/** `deployments.apps "web"`, as the server's messages say it. */
export function shownName({ type, name }: ObjectRef): string {
  return `${type.resource}${type.group === "" ? "" : `.${type.group}`} "${name}"`;
}

const OWN_FIELDS = [
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "generation",
];

function contentOf({ metadata: _, status: __, ...content }: JsonObject): string {
  return canonicalJson(content);
}

function withMember(object: JsonObject, key: string, value: unknown): JsonObject {
  const { [key]: _, ...rest } = object;
  return value === undefined ? rest : { ...rest, [key]: value };
}

function modified(ref: ObjectRef): KubeError {
  const text =
    `Operation cannot be fulfilled on ${shownName(ref)}: the object has been modified; ` +
    "please apply your changes to the latest version and try again";
  return new KubeError(409, "Conflict", text);
}

/** The time now; Kubernetes counts in whole seconds. */
export function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
