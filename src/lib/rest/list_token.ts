/** The tokens by which a walk through a list goes on: a place in one order of one search. */

import { createHash } from "node:crypto";
import type { Listed } from "../search/listed.ts";
import type { OrderTerm } from "../search/order.ts";
import { badRequest } from "../search/refusal.ts";
import { checkTime } from "../search/values.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";

/** Where a walk goes on. */
export interface Place {
  /** The number of the page that comes. */
  page: number;
  /** The last row's values in the order of the list. */
  after: string[];
}

const VERSION = 1;
const LENGTH_MAX = 8_000;
const FINGERPRINT_LENGTH = 16;
const PAGE_MAX = 2_147_483_647;

/** What a token belongs to, in a few letters. */
export function fingerprint(kind: string, search: string, order: OrderTerm[]): string {
  const text = JSON.stringify([kind, search.trim(), order]);
  return createHash("sha256").update(text).digest("base64url").slice(0, FINGERPRINT_LENGTH);
}

/** A token. What is in it is nobody's business but ours. */
export function encodePlace(list: string, { page, after }: Place): string {
  return Buffer.from(JSON.stringify([VERSION, list, page, ...after])).toString("base64url");
}

/** Reads a token. Throws if it is none of this list. */
export function decodePlace(
  token: string,
  list: string,
  listed: Listed,
  order: OrderTerm[],
): Place {
  const [version, of, page, ...after] = readParts(token);
  const isPlace = version === VERSION && isPage(page) && after.length === order.length;
  if (!isPlace) throw unreadable();
  if (of !== list) {
    throw badRequest(
      'the parameter "continue" belongs to a list with another search or orderBy; begin without it',
    );
  }
  return { page, after: after.map((value, at) => checkedValue(listed, order[at], value)) };
}

function readParts(token: string): unknown[] {
  if (token.length > LENGTH_MAX || !/^[\w-]+$/.test(token)) throw unreadable();
  try {
    const parts = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(parts)) return parts;
  } catch {
    // It is told below.
  }
  throw unreadable();
}

function isPage(page: unknown): page is number {
  return Number.isInteger(page) && Number(page) > 0 && Number(page) <= PAGE_MAX;
}

// Somebody may have written it by hand, and PostgreSQL is not to stumble over it.
function checkedValue(listed: Listed, term: OrderTerm | undefined, value: unknown): string {
  if (term === undefined || typeof value !== "string" || value.includes("\0")) throw unreadable();
  const type = listed.columns[term.column];
  // A version, or none that a row can have.
  const isVersion = /^\d{1,10}$/.test(value) && Number(value) <= RESOURCE_VERSION_MAX;
  if (type === "number" && !isVersion) throw unreadable();
  if (type !== "time") return value;
  if (term.column === "deleted_at" && value === "infinity") return value;
  const checked = checkTime(value);
  if ("value" in checked) return checked.value;
  throw unreadable();
}

function unreadable(): Error {
  return badRequest('the parameter "continue" must be the one of a list, as it came');
}
