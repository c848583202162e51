/**
 * Live values of ignored fields that nobody but us owns.
 *
 * Whoever stops sending a field to the API server gives it up, and a field without an owner is removed. An
 * ignored field must rather stay as it is, so we go on sending the value that it has, as long as we own it.
 */

import { isObject, type JsonObject } from "../json.ts";
import { metadataOf } from "./work.ts";

/** Which fields a manager owns, as `managedFields` writes it: `f:` a member, `k:` and `v:` an item. */
type Owned = JsonObject;

/**
 * The manifest with what we own of the live object's ignored fields.
 *
 * `kept` is the live object without its ignored fields: what it lacks is ignored.
 */
export function withOwnedIgnored(
  manifest: JsonObject,
  { live, kept, manager }: { live: JsonObject; kept: JsonObject; manager: string },
): JsonObject {
  const owned = ownedBy(live, manager);
  if (owned === undefined) return manifest;
  // What is in the metadata of every object is ours to say, or nobody's.
  const merged = mergeMembers(manifest, live, kept, owned);
  return isObject(merged) ? merged : manifest;
}

function ownedBy(live: JsonObject, manager: string): Owned | undefined {
  const { managedFields } = metadataOf(live);
  if (!Array.isArray(managedFields)) return undefined;
  const entry = managedFields.filter(isObject).find((fields) =>
    fields["manager"] === manager && fields["operation"] === "Apply" && !fields["subresource"]
  );
  return isObject(entry?.["fieldsV1"]) ? entry["fieldsV1"] : undefined;
}

function merge(target: unknown, live: unknown, kept: unknown, owned: Owned): unknown {
  if (isObject(live)) {
    return mergeMembers(
      isObject(target) ? target : undefined,
      live,
      isObject(kept) ? kept : {},
      owned,
    );
  }
  if (Array.isArray(live)) {
    return mergeItems(
      Array.isArray(target) ? target : undefined,
      live,
      Array.isArray(kept) ? kept : [],
      owned,
    );
  }
  return target;
}

function mergeMembers(
  target: JsonObject | undefined,
  live: JsonObject,
  kept: JsonObject,
  owned: Owned,
): JsonObject | undefined {
  const found: JsonObject = {};
  for (const [key, value] of Object.entries(live)) {
    const part = owned[`f:${key}`];
    if (!isObject(part)) continue;
    const merged = Object.hasOwn(kept, key)
      ? merge(target?.[key], value, kept[key], part)
      : pick(value, part);
    if (merged !== undefined) found[key] = merged;
  }
  if (target === undefined && Object.keys(found).length === 0) return undefined;
  return { ...target, ...found };
}

function mergeItems(
  target: unknown[] | undefined,
  live: unknown[],
  kept: unknown[],
  owned: Owned,
): unknown[] | undefined {
  const items = [...target ?? []];
  for (const [name, part] of Object.entries(owned)) {
    const isItem = itemTest(name);
    const item = isItem === undefined ? undefined : live.find(isItem);
    if (isItem === undefined || item === undefined || !isObject(part)) continue;
    const index = items.findIndex(isItem);
    const other = kept.find(isItem);
    const merged = other === undefined
      ? pick(item, part)
      : merge(index < 0 ? undefined : items[index], item, other, part);
    if (merged === undefined) continue;
    if (index >= 0) items[index] = merged;
    // An item that we no longer want is not kept for the sake of a part of it.
    else if (other === undefined) items.splice(placeOf(item, live, items, owned), 0, merged);
  }
  return target === undefined && items.length === 0 ? undefined : items;
}

/** Where an item goes so that the order stays: another one would restart the pods of a workload. */
function placeOf(item: unknown, live: unknown[], items: unknown[], owned: Owned): number {
  const later = live.slice(live.indexOf(item) + 1);
  const isLater = Object.keys(owned).flatMap((name) => itemTest(name) ?? [])
    .filter((isItem) => later.some(isItem));
  const place = items.findIndex((one) => isLater.some((isItem) => isItem(one)));
  return place < 0 ? items.length : place;
}

/** The part of a value that is owned; nothing more said of it means all of it. */
function pick(value: unknown, owned: Owned): unknown {
  if (Object.keys(owned).every((name) => name === ".")) return value;
  if (Array.isArray(value)) {
    return Object.entries(owned).flatMap(([name, part]) => {
      const isItem = itemTest(name);
      const item = isItem === undefined ? undefined : value.find(isItem);
      return item === undefined || !isObject(part) ? [] : [pick(item, part)];
    });
  }
  if (!isObject(value)) return value;
  const found: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const part = owned[`f:${key}`];
    if (isObject(part)) found[key] = pick(member, part);
  }
  return found;
}

function itemTest(name: string): ((item: unknown) => boolean) | undefined {
  if (!/^[kv]:/.test(name)) return undefined;
  const wanted: unknown = JSON.parse(name.slice(2));
  if (name.startsWith("v:")) return (item) => Bun.deepEquals(item, wanted);
  if (!isObject(wanted)) return undefined;
  return (item) =>
    isObject(item) &&
    Object.entries(wanted).every(([key, value]) => Bun.deepEquals(item[key], value));
}
