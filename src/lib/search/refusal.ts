/** How a bad parameter of a list is refused. */

import { MaestroError } from "../errors.ts";

/** The number that peers know for it. */
const BAD_REQUEST = 21;
const SHOWN_MAX = 200;

/** The refusal of a parameter. */
export function badRequest(reason: string, cause?: unknown): MaestroError {
  return new MaestroError("invalid_argument", reason, { peerNumber: BAD_REQUEST, cause });
}

/** As much of a text as an error repeats. */
export function shown(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}
