/** One AppliedManifestWork, as it is read and as it is changed. */

import { isObject, type JsonObject } from "../json.ts";
import type { AppliedResource, LedgerEntry } from "./ledger.ts";
import { decodePlan, PLAN_ANNOTATION } from "./plan.ts";
import { FIELD_OWNER, metadataOf, textOf } from "./work.ts";

/** The patch that makes the labels those wanted; undefined if they are. Labels of others stay. */
export function labelChanges(own: JsonObject, wanted: JsonObject): JsonObject | undefined {
  const changed: JsonObject = {};
  for (const key of Object.keys(own)) if (!(key in wanted)) changed[key] = null;
  for (const [key, value] of Object.entries(wanted)) if (own[key] !== value) changed[key] = value;
  return Object.keys(changed).length > 0 ? changed : undefined;
}

/** The labels that were set under our name, as the API server has noted it; a simulated cluster has no notes. */
function ownLabels({ labels, managedFields }: JsonObject): JsonObject {
  const all = isObject(labels) ? labels : {};
  if (!Array.isArray(managedFields)) return all;
  const keys = managedFields.filter(isObject).flatMap(({ manager, fieldsV1 }) => {
    const fields = isObject(fieldsV1) ? fieldsV1["f:metadata"] : undefined;
    const own = isObject(fields) ? fields["f:labels"] : undefined;
    return manager === FIELD_OWNER && isObject(own) ? Object.keys(own) : [];
  });
  return Object.fromEntries(
    Object.entries(all).filter(([key]) => keys.includes(`f:${key}`)),
  );
}

/** Reads an AppliedManifestWork; what it says of itself counts only for one of another hub name. */
export function readEntry(object: JsonObject, hubHash: string): LedgerEntry {
  const metadata = metadataOf(object);
  const { status } = object;
  const applied = isObject(status) ? status["appliedResources"] : undefined;
  const plan = applied === undefined ? decodePlan(annotationOf(object, PLAN_ANNOTATION)) : [];
  const list = applied ?? plan;
  const name = textOf(metadata, "name");
  const spec = isObject(object["spec"]) ? object["spec"] : {};
  const isOwn = name.startsWith(`${hubHash}-`);
  return {
    name,
    workName: isOwn ? name.slice(hubHash.length + 1) : textOf(spec, "manifestWorkName"),
    isOwn,
    uid: textOf(metadata, "uid"),
    isDeleting: metadata["deletionTimestamp"] !== undefined,
    labels: ownLabels(metadata),
    isSpecOurs: false,
    isUnwritten: false,
    isPlan: plan.length > 0,
    isEvicting: isObject(status) && status["evictionStartTime"] !== undefined,
    resources: sortedList((Array.isArray(list) ? list.filter(isObject) : []).map((entry) => ({
      group: textOf(entry, "group"),
      version: textOf(entry, "version"),
      resource: textOf(entry, "resource"),
      namespace: textOf(entry, "namespace"),
      name: textOf(entry, "name"),
      uid: textOf(entry, "uid"),
    }))),
  };
}

/** Of which work an AppliedManifestWork says that it is, and whose. */
export function subjectOf({ spec }: JsonObject): { agent: string; workName: string } {
  const given = isObject(spec) ? spec : {};
  return { agent: textOf(given, "agentID"), workName: textOf(given, "manifestWorkName") };
}

/** A list in the order in which peers keep it. */
export function sortedList(resources: readonly AppliedResource[]): AppliedResource[] {
  return resources.toSorted((a, b) => resourceText(a) < resourceText(b) ? -1 : 1);
}

/** True if two lists, in the same order, say the same. */
export function isSameList(
  one: readonly AppliedResource[],
  other: readonly AppliedResource[],
): boolean {
  return one.length === other.length && one.every((entry, index) => {
    const same = other[index];
    return same?.uid === entry.uid && resourceText(same) === resourceText(entry);
  });
}

function resourceText({ group, version, resource, namespace, name }: AppliedResource): string {
  return [group, version, resource, namespace, name].join("\u0000");
}

/** An annotation of an object, if it has it. */
export function annotationOf(object: JsonObject | undefined, name: string): unknown {
  const { annotations } = metadataOf(object);
  return isObject(annotations) ? annotations[name] : undefined;
}
