/** Why the agent itself does not apply a manifest, with the reason that its condition shows. */

import type { Wait } from "./waits.ts";

/** The reasons of an `Applied` condition that is False. */
export type RefusalReason =
  | "AppliedManifestFailed"
  | "AppliedManifestSSAIgnoreFieldError"
  | "InvalidConfig";

/** A manifest that is not applied because of what it says. Its message starts in lower case, as Go's do. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    readonly reason: RefusalReason,
    message: string,
    /** When another attempt may end otherwise; undefined if only a change of the work helps. */
    readonly retryAfterMs?: number,
    /** What is missing on the cluster. */
    readonly waitsFor?: Wait,
  ) {
    super(message);
  }
}
