/**
 * Callers whose tokens were verified a moment ago.
 *
 * A client sends the same token with each call, and to verify its signature takes as long as all else that a server does
 * for a create. A token is good here only as long as it would be verified again: until it expires, and while the keys
 * are the same.
 */

import type { Caller } from "./caller.ts";

/** When something was looked at, and which keys there were then. */
export interface Moment {
  nowMs: number;
  keys: string;
}

/** The callers of tokens, by the digests of these. */
export interface VerifiedTokens {
  find(token: string, moment: Moment): Caller | undefined;
  /** `moment` is before the token was verified: with keys that came meanwhile it was not. */
  keep(token: string, caller: Caller, moment: Moment): void;
}

interface Kept {
  caller: Caller;
  since: Moment;
  untilMs: number;
}

/** Keys behind a URL may be withdrawn without a sign. */
const KEPT_MS_MAX = 30_000;
/** The oldest goes when another comes. */
const KEPT_MAX = 1_000;

/** Remembers tokens, none at first. */
export function rememberVerified(): VerifiedTokens {
  const kept = new Map<string, Kept>();
  return {
    find(token, { nowMs, keys }) {
      const key = digest(token);
      const found = kept.get(key);
      if (found === undefined) return undefined;
      const { caller, since, untilMs } = found;
      if (nowMs >= since.nowMs && nowMs < untilMs && keys === since.keys) return caller;
      kept.delete(key);
      return undefined;
    },
    keep(token, caller, since) {
      const untilMs = Math.min(since.nowMs + KEPT_MS_MAX, caller.untilMs ?? 0);
      kept.set(digest(token), { caller, since, untilMs });
      if (kept.size <= KEPT_MAX) return;
      for (const oldest of kept.keys()) {
        kept.delete(oldest);
        return;
      }
    },
  };
}

/** What lies in memory, or how long a look takes, tells nothing of a token. */
function digest(token: string): string {
  return Bun.SHA256.hash(token, "base64");
}
