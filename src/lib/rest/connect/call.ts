/** What a method may know of its call. */

import { type ContextValues, createContextKey } from "@connectrpc/connect";
import type { Rights } from "../../access/rights.ts";
import { MaestroError } from "../../errors.ts";
import type { Logger } from "../../log.ts";

export interface CallParts {
  operationId: string;
  /** Says in every line which call it is about. */
  log?: Logger;
  /** The value of the `Authorization` header; of a cookie, what that header would be. */
  authorization: string | undefined;
  /** Why the call is refused before anything is looked at; undefined if it is not. */
  refusal?: unknown;
  /** What the caller may change; everything if nobody is asked who calls. */
  rights?: Rights | undefined;
  /** The name of the caller, for the log. */
  caller?: string | undefined;
  /** Until when its token is good, in milliseconds since 1970; for ever without it. */
  untilMs?: number | undefined;
  /** What the client traces the call by. */
  tracing?: string | undefined;
}

/** Of a call that nobody has prepared nothing is known, so it comes in nowhere. */
const UNPREPARED: CallParts = {
  operationId: "",
  authorization: undefined,
  refusal: new MaestroError("unauthenticated", "nobody knows who calls"),
};

export const CALLER = createContextKey<CallParts>(UNPREPARED);

/**
 * The one source whose resources the caller may change; undefined if it may change any. Throws `permission_denied` if it
 * may change nothing.
 */
export function ownSource(values: ContextValues): string | undefined {
  const { rights, caller } = values.get(CALLER);
  if (rights?.mayChange === "own") return rights.source;
  if (rights?.mayChange !== "nothing") return undefined;
  throw new MaestroError("permission_denied", `"${caller}" may only look`);
}
