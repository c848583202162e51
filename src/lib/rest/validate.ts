/** Checks a body by its schema, and tells the first thing that is wrong with it in our words. */

import * as v from "valibot";
import type { JsonObject } from "../json.ts";
import { invalid, refuseUnknown } from "./body.ts";

const SHOWN_LENGTH_MAX = 100;

/** What a body says. Throws `invalid_argument` with the member that is wrong, and what it must be. */
export function validate<Schema extends v.GenericSchema>(
  schema: Schema,
  body: JsonObject,
): v.InferOutput<Schema> {
  // First, since a typing error is both an unknown member and a missing one.
  if (hasEntries(schema)) refuseUnknown(body, Object.keys(schema.entries));
  const result = v.safeParse(schema, body, { abortEarly: true });
  if (result.success) return result.output;
  throw invalid(describeIssue(result.issues[0]));
}

function hasEntries(schema: object): schema is { entries: v.ObjectEntries } {
  return "entries" in schema;
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const path = issue.path ?? [];
  const last = path.at(-1);
  if (last?.origin === "key") {
    if (issue.expected !== "never") return `${pathText(path)} is required`;
    const key = JSON.stringify(String(last.key).slice(0, SHOWN_LENGTH_MAX));
    const parent = pathText(path.slice(0, -1));
    return `unknown field ${key}${parent && ` in ${parent}`}`;
  }
  // A message that begins with a place says what is wrong below the member.
  const separator = /^[.[]/.test(issue.message) ? "" : " ";
  return `${pathText(path)}${separator}${issue.message}`;
}

function pathText(path: readonly { key?: unknown }[]): string {
  return path.reduce((text, { key }) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${key}`;
  }, "");
}
