/** What a peer may make us do for nothing: so much at once, and so much again in each second. */

import { CODE, Http2Error } from "./frames.ts";

export interface Budget {
  /** Takes one; false: there is none left. */
  spend(nowMs: number): boolean;
}

/** Takes one; throws when there is none left. */
export function spendOne({ spend }: Budget, message: string): void {
  if (!spend(performance.now())) throw new Http2Error(CODE.enhanceYourCalm, message);
}

/** Makes one that is full. */
export function createBudget({ atOnce, perSecond }: { atOnce: number; perSecond: number }): Budget {
  let left = atOnce;
  let lastMs: number | undefined;
  return {
    spend(nowMs) {
      left = Math.min(atOnce, left + (nowMs - (lastMs ?? nowMs)) / 1_000 * perSecond);
      lastMs = nowMs;
      if (left < 1) return false;
      left--;
      return true;
    },
  };
}
