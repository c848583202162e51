/** `fields`: only some members of what is listed. */

import { MaestroError } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";

/** What may be asked of one item. */
export interface Model {
  name: string;
  /** Its members; those that are true have members of their own. */
  members: Record<string, boolean>;
}

const FIELDS_MAX = 100;

/** Reads `id,name,metadata.labels`. Undefined: everything is asked for. The id is always part of it. */
export function parseFields(model: Model, text: string): string[] | undefined {
  const given = text.split(",").map((one) => one.trim()).filter((one) => one !== "");
  if (given.length === 0) return undefined;
  if (given.length > FIELDS_MAX) {
    throw new MaestroError("invalid_argument", `fields: there are more than ${FIELDS_MAX}`);
  }
  const unknown = given.filter((one) => !isKnown(model, one)).map((one) => one.slice(0, 100));
  if (unknown.length > 0) {
    throw new MaestroError(
      "invalid_argument",
      `The following field(s) doesn't exist in \`${model.name}\`: ${unknown.join(", ")}`,
    );
  }
  return [...new Set([...given.map((one) => one.replace(/\.\*$/, "")), "id"])];
}

function isKnown({ members }: Model, field: string): boolean {
  const [name = "", ...below] = field.split(".");
  if (!Object.hasOwn(members, name)) return false;
  return below.length === 0 || (members[name] === true && below.every((key) => key !== ""));
}

/** The members that fields begin with. */
export function membersOf(fields: string[]): Set<string> {
  return new Set(fields.map((field) => field.split(".")[0] ?? ""));
}

/** An item with these fields only. What it does not have is left out. */
export function project(item: JsonObject, fields: string[]): JsonObject {
  const part: JsonObject = Object.create(null);
  for (const field of fields) copy(item, part, field);
  return part;
}

/** Keys of labels have dots in them, so the longest that is there counts. */
function copy(from: JsonObject, to: JsonObject, path: string): void {
  if (Object.hasOwn(from, path)) {
    to[path] = from[path];
    return;
  }
  for (let dot = path.lastIndexOf("."); dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
    const key = path.slice(0, dot);
    const below = Object.hasOwn(from, key) ? from[key] : undefined;
    if (!isObject(below)) continue;
    // It is there whole.
    if (to[key] === below) return;
    const part: JsonObject = isObject(to[key]) ? to[key] : Object.create(null);
    copy(below, part, path.slice(dot + 1));
    if (Object.keys(part).length > 0) to[key] = part;
    return;
  }
}
