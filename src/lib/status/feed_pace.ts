/** When the feed is read again: soon, while a transaction that still runs keeps entries from being told. */

import type { Run } from "../pump.ts";
import type { Feed } from "./feed.ts";

/** The commit that lets them go wakes nobody: it may be that of a claim, or of somebody who never notifies. */
const HELD_MS = 4;
const HELD_FACTOR = 2;
/** A reading costs a fraction of a millisecond, also while somebody holds them for long. */
const HELD_MS_MAX = 100;

/** Makes the run of a pump that reads the feed. */
export function readForPump(feed: Pick<Feed, "read" | "isHeld">): () => Promise<Run> {
  let heldMs = HELD_MS;
  return async () => {
    if (await feed.read()) return true;
    if (!feed.isHeld()) {
      heldMs = HELD_MS;
      return false;
    }
    const pauseMs = heldMs;
    heldMs = Math.min(heldMs * HELD_FACTOR, HELD_MS_MAX);
    return pauseMs;
  };
}
