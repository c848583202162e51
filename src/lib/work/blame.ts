/** Who changed an object last, and which of its fields, as the API server keeps book of it. */

import { isObject, type JsonObject } from "../json.ts";
import { metadataOf, textOf } from "./work.ts";

/** Fields that are named; the others are counted. */
const FIELDS_MAX = 3;

/**
 * Names the manager that wrote the object after `ownManager` and the fields that are its own, as in
 * `"kubectl-edit" (data.a, data.b)`. Undefined if the object does not tell: a field that was removed leaves no trace.
 */
export function blame(object: JsonObject, ownManager: string): string | undefined {
  const { managedFields } = metadataOf(object);
  const entries = (Array.isArray(managedFields) ? managedFields.filter(isObject) : [])
    // What controllers write into the status is not drift.
    .filter((entry) => textOf(entry, "subresource") === "");
  const isOwn = (entry: JsonObject) => textOf(entry, "manager") === ownManager;
  const ownTime = latest(entries.filter(isOwn))?.time ?? "";
  const other = latest(entries.filter((entry) => !isOwn(entry)));
  if (other === undefined || other.time < ownTime) return undefined;
  const fields = pathsOf(other.entry["fieldsV1"], "");
  const shown = fields.slice(0, FIELDS_MAX).join(", ");
  const rest = fields.length > FIELDS_MAX ? ` and ${fields.length - FIELDS_MAX} more` : "";
  const text = fields.length === 0 ? "" : ` (${shown}${rest})`;
  return `${JSON.stringify(textOf(other.entry, "manager"))}${text}`;
}

function latest(entries: readonly JsonObject[]): { entry: JsonObject; time: string } | undefined {
  return entries.map((entry) => ({ entry, time: textOf(entry, "time") }))
    .reduce<{ entry: JsonObject; time: string } | undefined>(
      (last, next) => last === undefined || next.time >= last.time ? next : last,
      undefined,
    );
}

/** The leaves of a field set: `f:` is a member, `k:` and `v:` are items of a list. */
function pathsOf(set: unknown, path: string): string[] {
  const members = isObject(set) ? Object.entries(set).filter(([key]) => key !== ".") : [];
  if (members.length === 0) return path === "" ? [] : [path];
  return members.flatMap(([key, below]) => {
    const name = key.slice(2);
    const step = key.startsWith("f:") ? (path === "" ? name : `.${name}`) : `[${name}]`;
    return pathsOf(below, path + step);
  });
}
