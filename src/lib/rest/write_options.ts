/** What the address and the headers of a change say about it. */

import type { Receipt } from "../spec/accept.ts";
import type { ResourceType, WriteOptions } from "../spec/write.ts";
import { badRequest } from "./list.ts";
import type { Preconditions } from "./preconditions.ts";
import type { RestContext } from "./routes.ts";

/** The options of a change by this request. */
export function writeOptions(
  c: RestContext,
  type: ResourceType,
  { preconditions, receipt }: {
    preconditions?: Pick<Preconditions, "version" | "life"> | undefined;
    receipt?: Receipt | undefined;
  },
): WriteOptions {
  const rights = c.get("rights");
  return {
    type,
    owner: rights?.mayChange === "own" ? rights.source : undefined,
    version: preconditions?.version,
    life: preconditions?.life,
    isDryRun: isDryRun(c),
    receipt,
    tracing: c.get("tracing"),
  };
}

/** `?dryRun=true`: everything is checked and nothing stored. */
export function isDryRun(c: RestContext): boolean {
  return booleanParameter(new URL(c.req.url).searchParams, "dryRun");
}

const REHEARSED = /^\/api\/maestro\/v1\/(resources|resource-bundles)([/:]|$)/;
const SAFE = ["GET", "HEAD", "OPTIONS"];

/** Throws where a change is not rehearsed: it would take place. */
export function refuseRehearsal(c: RestContext): void {
  if (SAFE.includes(c.req.method) || REHEARSED.test(c.req.path) || !isDryRun(c)) return;
  throw badRequest('the parameter "dryRun" is not supported here; the change would take place');
}

/** Nothing but the two words: what is meant as a rehearsal must not take place, nor the other way round. */
export function booleanParameter(query: URLSearchParams, name: string): boolean {
  const given = query.getAll(name);
  if (given.length === 0) return false;
  const [first] = given;
  if (given.length === 1 && first === "true") return true;
  if (given.length === 1 && first === "false") return false;
  const shown = JSON.stringify(given.join(",").slice(0, 100));
  throw badRequest(`the parameter "${name}" must be true or false, not ${shown}`);
}
