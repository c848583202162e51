/**
 * Reads the members of a payload as Go's JSON package does: a key counts in any case, of several that are the same
 * so the last one counts, null is absent, and a member of another type is an error.
 */

import { MaestroError } from "../errors.ts";
import { isObject, type JsonObject, parseJsonObject, rawNumber } from "../json.ts";

/** What a member must be. Members that nobody reads are whatever they are. */
export interface Kind {
  readonly expected: string;
  readonly is: (value: unknown) => boolean;
  /** The members of an object, or of each object in a list. */
  readonly members?: Members;
}

interface Members {
  byName: ReadonlyMap<string, Kind>;
  byLowerCase: ReadonlyMap<string, { name: string; kind: Kind }>;
}

const isText = (value: unknown) => typeof value === "string";

export const TEXT: Kind = { expected: "a string", is: isText };
export const FLAG: Kind = { expected: "a boolean", is: (value) => typeof value === "boolean" };
export const NUMBER: Kind = {
  expected: "a number",
  is: (value) => typeof value === "number" || rawNumber(value) !== undefined,
};
export const TEXTS: Kind = {
  expected: "a list of strings",
  is: (value) => Array.isArray(value) && value.every(isText),
};
export const OBJECT: Kind = { expected: "an object", is: isObject };
export const OBJECTS: Kind = {
  expected: "a list of objects",
  is: (value) => Array.isArray(value) && value.every(isObject),
};

export const ANY: Kind = { expected: "anything", is: () => true };

/** An object with these members, and perhaps others. */
export function object(members: Record<string, Kind>): Kind {
  return { ...OBJECT, members: index(members) };
}

/** A list of such objects. */
export function list(members: Record<string, Kind>): Kind {
  return { ...OBJECTS, members: index(members) };
}

function index(members: Record<string, Kind>): Members {
  const entries = Object.entries(members);
  return {
    byName: new Map(entries),
    byLowerCase: new Map(entries.map(([name, kind]) => [name.toLowerCase(), { name, kind }])),
  };
}

/**
 * Parses a JSON object and gives its known members their names. What is not known stays as it is; `what` names the
 * document in errors.
 *
 * Throws `invalid_argument` with the path of a member that is of another kind.
 */
export function parseMembers(text: string, what: string, kind: Kind): JsonObject {
  const document = parseJsonObject(text, what);
  // Nearly every document is, and looking costs a third of reading.
  if (kind.members !== undefined && isExact(document, kind.members)) return document;
  const fail = (state: string) =>
    new MaestroError("invalid_argument", `Cannot read ${what}: ${state}`);
  return readMembers(document, kind, "", fail);
}

/** True if each member has its very name and kind, so that there is nothing to change or to refuse. */
function isExact(document: JsonObject, members: Members): boolean {
  for (const key of Object.keys(document)) {
    const kind = members.byName.get(key);
    if (kind === undefined) {
      if (members.byLowerCase.has(key.toLowerCase())) return false;
      continue;
    }
    const value = document[key];
    if (!kind.is(value)) return false;
    const { members: inner } = kind;
    if (inner === undefined) continue;
    if (!Array.isArray(value)) {
      if (!isExact(value as JsonObject, inner)) return false;
      continue;
    }
    for (const item of value) if (!isExact(item, inner)) return false;
  }
  return true;
}

type Fail = (state: string) => MaestroError;

function readMembers(document: JsonObject, { members }: Kind, path: string, fail: Fail) {
  // Own members only: a key such as __proto__ must stay one of many.
  const read = Object.entries(document).map(([key, value]): [string, unknown] => {
    const known = members?.byLowerCase.get(key.toLowerCase());
    if (known === undefined) return [key, value];
    const { name, kind } = known;
    return [name, value === null ? undefined : readMember(value, kind, path + name, fail)];
  });
  return Object.fromEntries(read);
}

function readMember(value: unknown, kind: Kind, path: string, fail: Fail): unknown {
  if (!kind.is(value)) throw fail(`${path} must be ${kind.expected}${whichEntry(value, kind)}`);
  if (kind.members === undefined) return value;
  if (!Array.isArray(value)) return readMembers(value as JsonObject, kind, `${path}.`, fail);
  return value.map((item, index) => readMembers(item, kind, `${path}[${index}].`, fail));
}

function whichEntry(value: unknown, { is }: Kind): string {
  const index = Array.isArray(value) ? value.findIndex((item) => !is([item])) : -1;
  return index < 0 ? "" : ` (entry ${index} is none)`;
}
