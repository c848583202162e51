/**
 * Merges a manifest into a live object: what the manifest says, without what we wrote and it no longer says, and with
 * everything that others wrote.
 *
 * Who wrote what is noted by the API server itself in `metadata.managedFields` (Kubernetes, "Field management"). Defaults
 * count as ours: they are left out here, and the server sets them again. What admission and controllers set is not ours.
 */

import { isObject, type JsonObject } from "../json.ts";
import { FIELD_OWNER, metadataOf } from "./work.ts";

/** The `fieldsV1` of some managers: `f:name` is a member, `k:{…}` an item by its keys, `v:…` a value of a set. */
type Fields = JsonObject | undefined;

/** Returns the merged object but for its metadata and status; undefined if nobody noted who wrote what. */
export function mergeThreeWay(manifest: JsonObject, live: JsonObject): JsonObject | undefined {
  const { managedFields } = metadataOf(live);
  const entries = Array.isArray(managedFields) ? managedFields.filter(isObject) : [];
  if (entries.length === 0) return undefined;
  const isOurs = ({ manager, subresource }: JsonObject) =>
    manager === FIELD_OWNER && (subresource ?? "") === "";
  const own = united(entries.filter(isOurs));
  const others = united(entries.filter((entry) => !isOurs(entry)));
  const { metadata: _, status: __, ...wanted } = manifest;
  const { metadata: ___, status: ____, ...current } = live;
  return mergeObjects(wanted, current, own, others);
}

function united(entries: readonly JsonObject[]): Fields {
  let fields: Fields;
  for (const { fieldsV1 } of entries) {
    if (isObject(fieldsV1)) fields = fields === undefined ? fieldsV1 : unite(fields, fieldsV1);
  }
  return fields;
}

function unite(one: JsonObject, other: JsonObject): JsonObject {
  const all: JsonObject = { ...one };
  for (const [key, value] of Object.entries(other)) {
    const current = all[key];
    all[key] = isObject(current) && isObject(value) ? unite(current, value) : value;
  }
  return all;
}

function merge(wanted: unknown, live: unknown, own: Fields, others: Fields): unknown {
  if (isObject(wanted) && isObject(live)) {
    // A map that is owned in one piece is written in one piece.
    const isWhole = own !== undefined && isLeaf(own) && (others === undefined || isLeaf(others));
    return isWhole ? wanted : mergeObjects(wanted, live, own, others);
  }
  if (Array.isArray(wanted) && Array.isArray(live)) return mergeLists(wanted, live, own, others);
  return wanted;
}

function mergeObjects(
  wanted: JsonObject,
  live: JsonObject,
  own: Fields,
  others: Fields,
): JsonObject {
  const merged: JsonObject = {};
  for (const [key, value] of Object.entries(live)) {
    const [ours, theirs] = [member(own, key), member(others, key)];
    const asked = wanted[key] ?? undefined;
    const rest = asked === undefined
      ? without(value, ours, theirs)
      : merge(asked, value, ours, theirs);
    if (rest !== undefined) merged[key] = rest;
  }
  for (const [key, value] of Object.entries(wanted)) {
    if (live[key] === undefined) merged[key] = value;
  }
  return merged;
}

function mergeLists(
  wanted: readonly unknown[],
  live: readonly unknown[],
  own: Fields,
  others: Fields,
): unknown[] {
  const marks = [...Object.keys(own ?? {}), ...Object.keys(others ?? {})];
  const keys = marks.find((mark) => mark.startsWith("k:"));
  if (keys !== undefined) {
    const names = Object.keys(JSON.parse(keys.slice(2)));
    return mergeItems(wanted, live, own, others, names);
  }
  if (!marks.some((mark) => mark.startsWith("v:"))) return [...wanted];
  const isOurs = (value: unknown) => own?.[`v:${JSON.stringify(value)}`] !== undefined;
  return [...wanted, ...live.filter((value) => !wanted.includes(value) && !isOurs(value))];
}

function mergeItems(
  wanted: readonly unknown[],
  live: readonly unknown[],
  own: Fields,
  others: Fields,
  names: readonly string[],
): unknown[] {
  const left = new Set(live);
  const merged = wanted.map((item) => {
    for (const found of left) {
      if (!isSameItem(item, found, names)) continue;
      left.delete(found);
      return merge(item, found, itemOf(own, found), itemOf(others, found));
    }
    return item;
  });
  for (const item of left) {
    const theirs = itemOf(others, item);
    // An item of ours goes with all that admission put into it.
    if (itemOf(own, item) !== undefined && theirs === undefined) continue;
    merged.push(item);
  }
  return merged;
}

/** A key that the manifest leaves to the server's default is no difference. */
function isSameItem(wanted: unknown, live: unknown, names: readonly string[]): boolean {
  return isObject(wanted) && isObject(live) &&
    names.every((name) => wanted[name] === undefined || wanted[name] === live[name]);
}

/** The live value without what is ours alone; undefined if nothing is left. */
function without(live: unknown, own: Fields, others: Fields): unknown {
  if (own === undefined) return live;
  if (isLeaf(own)) return others === undefined ? undefined : live;
  if (Array.isArray(live)) {
    const rest = live.filter((item) =>
      itemOf(own, item) === undefined || itemOf(others, item) !== undefined
    );
    return rest.length > 0 ? rest : undefined;
  }
  if (!isObject(live)) return others === undefined ? undefined : live;
  const rest = mergeObjects({}, live, own, others);
  return Object.keys(rest).length > 0 ? rest : undefined;
}

function member(fields: Fields, key: string): Fields {
  const found = fields?.[`f:${key}`];
  return isObject(found) ? found : undefined;
}

function itemOf(fields: Fields, item: unknown): Fields {
  for (const [mark, found] of Object.entries(fields ?? {})) {
    if (!isObject(found)) continue;
    if (mark.startsWith("v:") && mark.slice(2) === JSON.stringify(item)) return found;
    if (!mark.startsWith("k:") || !isObject(item)) continue;
    const keys: JsonObject = JSON.parse(mark.slice(2));
    if (Object.entries(keys).every(([name, value]) => item[name] === value)) return found;
  }
  return undefined;
}

function isLeaf(fields: JsonObject): boolean {
  return Object.keys(fields).every((key) => key === ".");
}
