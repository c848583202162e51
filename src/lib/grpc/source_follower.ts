/** A source that keeps a cursor: it follows the change feed by itself, from where it was. */

import type { Beginning, Follower } from "../status/follow.ts";
import { toFeedEvent } from "../status/status_teller.ts";
import type { Subscriber } from "./subscriber.ts";

/** Prepares a follower; throws if its cursor is no good. */
export type Follow = (follower: Follower, cursor: string | undefined) => Promise<Beginning>;

export interface SourceFollower extends Follower {
  /** Names who is told. Before, nobody is. */
  start(subscriber: Subscriber): void;
}

/** Makes a follower that tells a subscriber of the statuses of this source. */
export function createSourceFollower(source: string): SourceFollower {
  const sources = [source];
  let subscriber: Subscriber | undefined;
  return {
    start: (given) => void (subscriber = given),
    sources: () => sources,
    isGone: () => subscriber?.isGone ?? false,
    roomy: async () => await subscriber?.caughtUp() ?? false,
    take(changes, next) {
      for (const change of changes) {
        const event = change.source === source ? toFeedEvent(change) : undefined;
        if (event === undefined) continue;
        const { xid, id, kind } = change;
        const place = { epoch: next.epoch, xid, id };
        if (!subscriber?.push(event, { next: place, isDeletion: kind === "deleted" })) return;
      }
      subscriber?.move(next);
    },
    end: (error) => subscriber?.restart(error.message),
  };
}
