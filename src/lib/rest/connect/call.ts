/** What a method may know of its call: the other half of what REST's middleware knows of a request. */

import { createContextKey } from "@connectrpc/connect";
import { MaestroError } from "../../errors.ts";
import type { Caller } from "../../access/caller.ts";

export interface CallParts {
  operationId: string;
  /** Finds out who calls. Throws unless the caller may come in. */
  enter: () => Promise<Caller | undefined>;
  /** The value of the `Authorization` header; of a cookie, what that header would be. */
  authorization: string | undefined;
}

/** Of a call that nobody has prepared nothing is known, so it comes in nowhere. */
const UNPREPARED: CallParts = {
  operationId: "",
  enter: () => Promise.reject(new MaestroError("unauthenticated", "nobody knows who calls")),
  authorization: undefined,
};

export const CALLER = createContextKey<CallParts>(UNPREPARED);
