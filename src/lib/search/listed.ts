/** What there is to list, and by what it can be searched and ordered. */

import { badRequest, shown } from "./refusal.ts";
import type { Column, Field } from "./tree.ts";

/** Something that is listed. */
export interface Listed {
  /** As errors name it. */
  name: "Resource" | "Consumer";
  /** As a prefix of columns. */
  table: "resources" | "consumers";
  columns: Partial<Record<string, Field["type"]>>;
}

const COMMON = {
  id: "text",
  name: "text",
  created_at: "time",
  updated_at: "time",
  deleted_at: "time",
  labels: "json",
} as const;

export const RESOURCES: Listed = {
  name: "Resource",
  table: "resources",
  columns: {
    ...COMMON,
    source: "text",
    consumer_name: "text",
    type: "text",
    version: "number",
    payload: "json",
    metadata: "json",
    status: "json",
  },
};

export const CONSUMERS: Listed = { name: "Consumer", table: "consumers", columns: COMMON };

const PATH_MAX = 20;

/** The name of a column without the table, in small letters. Throws on anything else. */
export function columnName(listed: Listed, text: string): string {
  const [first = "", second, third] = text.toLowerCase().split(".");
  if (third !== undefined) throw badRequest(`${shown(text)} is not a valid field name`);
  if (second !== undefined && first !== listed.table) {
    throw badRequest(`${shown(text)} is not a related resource of ${listed.name}`);
  }
  const name = second ?? first;
  if (Object.hasOwn(listed.columns, name)) return name;
  const known = Object.keys(listed.columns).join(", ");
  throw badRequest(`${shown(text)} is not a valid field name; known are ${known}`);
}

/** What a column and a path below it lead to. `isText`: its last step was `->>`. */
export function toField(
  listed: Listed,
  name: string,
  path: string[],
  isText: boolean,
): Field {
  const type = listed.columns[name] ?? "text";
  if (type !== "json") {
    if (path.length > 0) throw badRequest(`${name} holds no document, so -> leads nowhere`);
    return { column: name as Column, path, type };
  }
  if (path.length > PATH_MAX) throw badRequest(`a path must not have more than ${PATH_MAX} keys`);
  const below = isText ? "path text" : "json";
  if (name === "labels" && listed.table === "resources") {
    return { column: "metadata", path: ["labels", ...path], type: below };
  }
  const document = DOCUMENTS[name];
  if (document === undefined || path.length === 0) {
    return { column: name === "payload" ? "spec" : name as Column, path, type: below };
  }
  // Peers store whole events. Of these only the parts are kept that say something.
  const [member = "", ...rest] = path;
  const column = document[member];
  if (column === undefined) {
    const known = Object.keys(document).map((key) => `'${key}'`).join(" and ");
    throw badRequest(`${name} has no member '${shown(member)}' here; known: ${known}`);
  }
  if (rest.length === 0 && isText) throw badRequest(`${name}->>'${member}' is no text; use ->`);
  return { column, path: rest, type: below };
}

const DOCUMENTS: Record<string, Record<string, Column>> = {
  payload: { metadata: "metadata", data: "spec" },
  status: { data: "status" },
};
