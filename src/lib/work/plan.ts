/** What an AppliedManifestWork lists of a work's objects: before they are made, and afterwards. */

import { isObject } from "../json.ts";
import type { Outcome } from "./apply_slot.ts";
import type { AppliedResource } from "./ledger.ts";
import type { Slot } from "./work.ts";

/**
 * The annotation that lists what is about to be made, on an AppliedManifestWork that is made itself: its status cannot
 * be written by the same call. It counts until there is a status, which says it better.
 */
export const PLAN_ANNOTATION = "maestro.open-cluster-management.io/planned";

/** Kubernetes allows 256 KiB for all annotations of an object. */
const PLAN_LENGTH_MAX = 100 * 1024;

/** The annotation's text; undefined if it would be too long, and the status has to do. */
export function encodePlan(resources: readonly AppliedResource[]): string | undefined {
  const text = JSON.stringify(resources.map(({ uid: _, ...place }) => place));
  return text.length <= PLAN_LENGTH_MAX ? text : undefined;
}

/** Reads the annotation; somebody else's text lists nothing. */
export function decodePlan(text: unknown): unknown[] {
  if (typeof text !== "string") return [];
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter(isObject) : [];
  } catch {
    // The objects carry their owner, so at worst they go with it.
    return [];
  }
}

/** True if both lists name the same objects, whatever they know of their uids. */
export function namesTheSame(
  one: readonly AppliedResource[],
  other: readonly AppliedResource[],
): boolean {
  const names = new Set(one.map(keyOf));
  return one.length === other.length && other.every((entry) => names.has(keyOf(entry)));
}

/** The list with the objects of these slots, whose uids are not known yet. */
export function withPlanned(
  resources: readonly AppliedResource[],
  slots: readonly Slot[],
): AppliedResource[] {
  const listed = new Set(resources.map(keyOf));
  const planned = slots.filter(({ meta, options }) =>
    meta.resource !== "" && options?.updateStrategy.type !== "ReadOnly" &&
    !listed.has(keyOf(meta))
  );
  return [...resources, ...planned.map(({ meta }) => toResource(meta, ""))];
}

/** What is on the cluster after a pass. An object of which nothing is known stays in the list. */
export function recorded(
  slots: readonly Slot[],
  results: ReadonlyMap<Slot, Outcome>,
  before: readonly AppliedResource[],
): AppliedResource[] {
  const listed = new Map(before.map((entry) => [keyOf(entry), entry]));
  const list = new Map(
    before.filter((entry) => mayBeWanted(entry, slots, results))
      .map((entry) => [keyOf(entry), entry]),
  );
  for (const slot of slots) {
    if (slot.meta.resource === "") continue;
    const key = keyOf(slot.meta);
    const old = listed.get(key);
    if (slot.uid !== undefined) list.set(key, toResource(slot.meta, slot.uid));
    else if (!results.get(slot)?.isApplied && old !== undefined) list.set(key, old);
  }
  return [...list.values()];
}

/** The listed objects that no manifest asks for. */
export function unwanted(
  resources: readonly AppliedResource[],
  slots: readonly Slot[],
  results: ReadonlyMap<Slot, Outcome>,
): AppliedResource[] {
  const wanted = new Set(slots.map(({ meta }) => keyOf(meta)));
  return resources.filter((entry) =>
    !wanted.has(keyOf(entry)) && !mayBeWanted(entry, slots, results)
  );
}

/** The uid by which an object is listed. */
export function listedUid(
  resources: readonly AppliedResource[],
  { meta }: Slot,
): string | undefined {
  const key = keyOf(meta);
  return resources.find((entry) => entry.name === meta.name && keyOf(entry) === key)?.uid ||
    undefined;
}

/**
 * True if this might be the object of a manifest whose resource is not known, or of one that was not seen: another group may
 * show the same object.
 */
function mayBeWanted(
  entry: AppliedResource,
  slots: readonly Slot[],
  results: ReadonlyMap<Slot, Outcome>,
): boolean {
  return slots.some((slot) => {
    const { meta: { group, resource, namespace, name }, uid } = slot;
    if (name !== entry.name) return false;
    const isUnseen = uid === undefined && results.get(slot)?.isUnseen === true;
    return resource === "" && group === entry.group || isUnseen && namespace === entry.namespace;
  });
}

function toResource(meta: Slot["meta"], uid: string): AppliedResource {
  const { group, version, resource, namespace, name } = meta;
  return { group, version, resource, namespace, name, uid };
}

function keyOf({ group, resource, namespace, name }: Omit<AppliedResource, "uid" | "version">) {
  return `${group}/${resource}/${namespace}/${name}`;
}
