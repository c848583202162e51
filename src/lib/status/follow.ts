/** Follows the feed from any place: page by page until there is no more, then with everybody else. */

import type { Db } from "../db/connect.ts";
import { type Cursor, decodeCursor } from "./cursor.ts";
import type { Feed, FeedSubscriber } from "./feed.ts";
import { type FeedPage, readNow, readPage } from "./feed_page.ts";

export interface Follower extends FeedSubscriber {
  /** Resolves when it can take a page; to false if it is gone. */
  roomy(): Promise<boolean>;
  isGone(): boolean;
}

/** A place to follow from, found to be good. */
export interface Beginning {
  from: Cursor;
  run: () => Promise<void>;
  /** Ends it; it may be called at any time. */
  leave: () => void;
}

/**
 * Prepares to follow from a cursor, or from now on without one. Throws `invalid_argument` or `gone` if the
 * cursor is no good. `run` resolves once the follower has joined or is gone.
 */
export async function startFollowing(
  db: Db,
  feed: Feed,
  follower: Follower,
  cursor: string | undefined,
): Promise<Beginning> {
  const leave = () => feed.leave(follower);
  if (cursor === undefined) {
    const from = await readNow(db);
    return { from, leave, run: () => follow(db, feed, follower, { from }) };
  }
  const from = decodeCursor(cursor);
  const first = await readPage(db, from, follower.sources());
  return { from, leave, run: () => follow(db, feed, follower, { from, first }) };
}

async function follow(
  db: Db,
  feed: Feed,
  follower: Follower,
  { from, first }: { from: Cursor; first?: FeedPage },
): Promise<void> {
  let seen = from;
  let ready = first;
  while (await follower.roomy()) {
    const page = ready ?? await readPage(db, seen, follower.sources());
    ready = undefined;
    if (!await follower.roomy()) return;
    follower.take(page.changes, page.next);
    seen = page.next;
    if (follower.isGone()) return;
    // A reader that is ahead by now has told others what this one still has to read.
    if (page.isLast && feed.join(follower, seen)) return;
  }
}
