/** Which changes a caller may ask for at all; whose resources they may touch is for the flow to say. */

import { rightsOf } from "../access/rights.ts";
import { MaestroError } from "../errors.ts";
import { isCall } from "./connect/routes.ts";
import type { RestContext } from "./routes.ts";

const CONSUMERS = /^\/api\/maestro\/v1\/consumers(\/|$)/;
const SAFE = ["GET", "HEAD", "OPTIONS"];

/** Notes what the caller may change. Throws `permission_denied` if it may not change what the path names. */
export function authorize(c: RestContext): void {
  const caller = c.get("caller");
  const rights = rightsOf(caller);
  c.set("rights", rights);
  // Calls are all sent by POST: those that change something look at the rights by themselves.
  if (SAFE.includes(c.req.method) || isCall(c.req.path)) return;
  if (rights.mayChange === "everything") return;
  const may = rights.mayChange === "nothing"
    ? "only look"
    : CONSUMERS.test(c.req.path)
    ? `change only resources of source "${rights.source}"`
    : undefined;
  if (may === undefined) return;
  throw new MaestroError("permission_denied", `"${caller?.name}" may ${may}`);
}

/** Throws `permission_denied` if an event comes from another source than the caller's own. */
export function authorizeSource(c: RestContext, source: string): void {
  const rights = c.get("rights");
  if (rights?.mayChange !== "own" || rights.source === source) return;
  const message =
    `Cannot accept an event of source "${source}": the token is for "${rights.source}"`;
  throw new MaestroError("permission_denied", message);
}
