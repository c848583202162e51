/**
 * What a client has seen, and wants to be so still (RFC 9110 §13).
 *
 * The tag of a resource is its version, when it was created, and a digest of all that is shown. For a write only the
 * first two count: a status that has come meanwhile is no reason to refuse it. For a read all of it does.
 */

import { createHash } from "node:crypto";
import { HTTPException } from "hono/http-exception";
import { MaestroError } from "../errors.ts";
import type { ResourceRow } from "../spec/door.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";
import { badRequest } from "../search/refusal.ts";
import type { RestContext } from "./routes.ts";

/** On what condition a client wants its change. */
export interface Preconditions {
  /** The version that it has seen; 0 for none. */
  version: number;
  life: string | undefined;
  /** From `If-Match`, so that its failure is a 412. */
  isFromHeader: boolean;
  /** Only if nothing is there yet: `If-None-Match: *`. */
  mustBeNew: boolean;
}

const TAG = /^(?:W\/)?"([1-9]\d{0,9})(?:-([0-9a-z]{1,13})(?:-[0-9a-f]+)?)?"$/;
const TAGS_LENGTH_MAX = 1_000;
const YEAR_10000_MS = Date.UTC(10_000, 0);

/** The entity tag of a resource that is shown by this text. */
export function entityTag(row: ResourceRow, shown: string): string {
  const digest = createHash("sha256").update(shown).digest("hex").slice(0, 16);
  return `"${row.version}-${toLife(row.created_at)}-${digest}"`;
}

/** Reads `If-Match` and `If-None-Match` of a change, and the version that its body names. */
export function parsePreconditions(
  c: RestContext,
  { version = 0 }: { version?: number | undefined } = {},
): Preconditions {
  const mustBeNew = c.req.header("If-None-Match")?.trim() === "*";
  const match = c.req.header("If-Match")?.trim();
  if (!mustBeNew && c.req.header("If-None-Match") !== undefined) {
    throw badRequest('the header If-None-Match of a change must be "*"');
  }
  // Only what creates can be meant to find nothing.
  if (mustBeNew && ["PATCH", "DELETE"].includes(c.req.method)) {
    throw badRequest(`the header If-None-Match does not go with ${c.req.method}`);
  }
  if (match === undefined) return { version, life: undefined, isFromHeader: false, mustBeNew };
  if (mustBeNew) throw badRequest("the headers If-Match and If-None-Match do not go together");
  if (match === "*") return { version, life: undefined, isFromHeader: true, mustBeNew };
  const [, number, life] = TAG.exec(match.slice(0, TAGS_LENGTH_MAX)) ?? [];
  const seen = life === undefined ? undefined : fromLife(life);
  // No version is 0, which would ask for any, and PostgreSQL must be able to compare with both.
  const isPossible = Number(number) <= RESOURCE_VERSION_MAX && seen !== null;
  if (number === undefined || !isPossible) {
    throw badRequest("the header If-Match must be * or one ETag that was answered here");
  }
  const tagged = Number(number);
  if (version !== 0 && version !== tagged) {
    throw badRequest(`the version ${version} of the body is not that of If-Match, ${tagged}`);
  }
  return {
    version: tagged,
    life: seen,
    isFromHeader: true,
    mustBeNew,
  };
}

/** True if the client holds what is shown already. */
export function isHeld(c: RestContext, tag: string): boolean {
  const header = c.req.header("If-None-Match");
  if (header === undefined) return false;
  // The weak comparison: proxies that compress weaken tags.
  const held = header.split(",").map((one) => one.trim().replace(/^W\//, ""));
  return held.includes("*") || held.includes(tag);
}

/** Runs a change; a precondition of a header that does not hold is a 412, with what is stored in its text. */
export async function onCondition<T>(
  { isFromHeader, mustBeNew }: Preconditions,
  change: () => Promise<T>,
): Promise<T> {
  try {
    return await change();
  } catch (cause) {
    if (!(cause instanceof MaestroError)) throw cause;
    const isStale = isFromHeader &&
      (cause.latestVersion !== undefined || cause.code === "not_found");
    const isTaken = mustBeNew && cause.code === "conflict";
    if (!isStale && !isTaken) throw cause;
    throw new HTTPException(412, { message: cause.message, cause });
  }
}

/** Microseconds since 1970 in base 36, as PostgreSQL counts them. */
function toLife(time: string): string {
  const [, seconds = "", fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? [];
  const micros = BigInt(Date.parse(`${seconds}Z`)) * 1_000n + BigInt(fraction.padEnd(6, "0"));
  return micros.toString(36);
}

/** Null for a time that no resource of ours can have. */
function fromLife(life: string): string | null {
  let micros = 0n;
  for (const digit of life) micros = micros * 36n + BigInt(Number.parseInt(digit, 36));
  const ms = Number(micros / 1_000n);
  if (ms >= YEAR_10000_MS) return null;
  const fraction = String(micros % 1_000_000n).padStart(6, "0").replace(/0+$/, "");
  const seconds = new Date(ms).toISOString().replace(/\.\d+Z$/, "");
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}Z`;
}
