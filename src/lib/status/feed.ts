/**
 * The change feed: how every replica learns of every change, and tells whoever subscribes here.
 *
 * Guarantee: each subscriber sees, in order for each resource, the last state of every burst and every
 * deletion; or it is told that something is missing. Statements that commit late are not passed over, since readers
 * stop below the oldest transaction that still runs. The price: an open transaction elsewhere in the cluster holds
 * the feed back, which upkeep reports.
 *
 * One reader serves all subscribers of a replica. Who comes with an old cursor catches up by its own reads and then
 * joins (`follow.ts`).
 */

import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import { comparePositions, type Cursor } from "./cursor.ts";
import { createKeyedTurns, createTurns } from "../turns.ts";
import { type Change, readNow, readPage } from "./feed_page.ts";

/** Who is told. */
export interface FeedSubscriber {
  /** The sources whose states it wants: none while it wants nothing, undefined for all. */
  sources(): readonly string[] | undefined;
  /** Takes what is new, in order; `next` is the place after it. It must not wait. */
  take(changes: readonly Change[], next: Cursor): void;
  /** The feed has a gap, so the subscriber must start anew. It is told nothing more. */
  end(error: MaestroError): void;
}

export interface Feed {
  /**
   * Makes sure that whatever is stored from now on is seen, and lets somebody in. Waits for a page that is being read: who
   * was told otherwise what came after it would take it for news.
   */
  open(enter?: () => void): Promise<void>;
  /** Tells subscribers what is new; resolves to true if there may be more. */
  read(): Promise<boolean>;
  /** True if there was more, the last time, that a transaction under way holds back. */
  isHeld(): boolean;
  /** True if somebody wants to know of specs, and not of statuses alone. */
  wantsSpecs(): boolean;
  /** Subscribes for as long as the server runs. After a gap it goes on from a new place. */
  attach(subscriber: FeedSubscriber): void;
  /**
   * Lets in a subscriber that has seen everything up to `seen`. False if the reader is further
   * already: then it must catch up first.
   */
  join(subscriber: FeedSubscriber, seen: Cursor): boolean;
  leave(subscriber: FeedSubscriber): void;
  /**
   * Runs what reads states of a source and tells its subscribers of them at once. Nothing else is read for them beside
   * it, by the feed or so: an older state, read before, could come after a newer one.
   */
  inTurn(source: string, tell: () => Promise<void>): Promise<void>;
}

interface Member {
  subscriber: FeedSubscriber;
  /** What comes before was seen otherwise. */
  seen: Cursor | undefined;
}

/** Makes the reader of a replica. While nobody wants anything nothing is read, and the next one starts at the end. */
export function createFeed(db: Db): Feed {
  const members = new Set<Member>();
  const turns = createTurns();
  const turnsOfSource = createKeyedTurns();
  let cursor: Cursor | undefined;
  let isHeld = false;

  const tell = (changes: readonly Change[], next: Cursor) => {
    for (const { subscriber, seen } of members) {
      subscriber.take(seen === undefined ? changes : changesAfter(changes, seen), next);
    }
  };
  const endAll = (error: MaestroError) => {
    cursor = undefined;
    for (const member of members) {
      if (member.seen !== undefined) members.delete(member);
      member.subscriber.end(error);
    }
  };

  const start = async () => {
    if (cursor !== undefined) return;
    const now = await readNow(db);
    cursor ??= now;
  };

  const read = async () => {
    const interest = interestOf(members);
    isHeld = false;
    if (!interest.isAny) cursor = undefined;
    const from = cursor;
    if (from === undefined) {
      // After a gap, which those who are still here have been told of.
      if (interest.isAny) await start();
      return interest.isAny;
    }
    const page = await readPage(db, from, interest.sources).catch((error: unknown) => error);
    // Everybody left meanwhile, and whoever came then has another place.
    if (cursor !== from) return true;
    if (page instanceof MaestroError && page.code === "gone") {
      endAll(page);
      return true;
    }
    if (page instanceof Error || !isPage(page)) throw page;
    const { changes, next, isLast } = page;
    // Let in while the statement ran, which therefore brought no states for it: read again from there.
    const now = interestOf(members);
    // Of what it has left out there may be nothing to see.
    if (now.sources === undefined && interest.sources !== undefined) return true;
    const missed = missedBy(now, interest);
    const stop = changes.findIndex((change) => missed(change.source));
    const told = stop < 0 ? changes : changes.slice(0, stop);
    const last = told.at(-1);
    cursor = stop < 0 ? next : last === undefined ? from : placeOf(last, from);
    if (told.length > 0 || stop < 0) tell(told, cursor);
    isHeld = page.isHeld;
    return stop >= 0 || !isLast;
  };

  return {
    open: (enter = () => {}) => turns.together(() => start().then(enter)),
    read: () => turns.alone(read),
    isHeld: () => isHeld,
    wantsSpecs: () => interestOf(members).sources === undefined,
    inTurn: (source, tell) => turnsOfSource.alone(source, () => turns.together(tell)),
    attach: (subscriber) => void members.add({ subscriber, seen: undefined }),
    join(subscriber, seen) {
      if (cursor !== undefined && comparePositions(seen, cursor) < 0) return false;
      if (cursor !== undefined && seen.epoch !== cursor.epoch) return false;
      cursor ??= seen;
      members.add({ subscriber, seen });
      return true;
    },
    leave(subscriber) {
      for (const member of members) if (member.subscriber === subscriber) members.delete(member);
    },
  };
}

function isPage(page: unknown): page is Awaited<ReturnType<typeof readPage>> {
  return typeof page === "object" && page !== null && "changes" in page;
}

/**
 * What a subscriber has not seen of a page. The page says of all changes of a resource that it was created within: to whoever
 * has seen it created they are no creation.
 */
function changesAfter(changes: readonly Change[], seen: Cursor): Change[] {
  const known = new Set<string>();
  return changes.flatMap((change) => {
    const life = `${change.resource_id} ${change.created_at}`;
    if (comparePositions(change, seen) <= 0) {
      if (change.is_creation) known.add(life);
      return [];
    }
    return known.has(life) ? { ...change, is_creation: false } : change;
  });
}

function placeOf({ xid, id }: Change, { epoch }: Cursor): Cursor {
  return { epoch, xid, id };
}

interface Interest {
  isAny: boolean;
  sources: string[] | undefined;
}

function interestOf(members: ReadonlySet<Member>): Interest {
  const sources = new Set<string>();
  let isAll = false;
  for (const { subscriber } of members) {
    const wanted = subscriber.sources();
    if (wanted === undefined) isAll = true;
    for (const source of wanted ?? []) sources.add(source);
  }
  return { isAny: isAll || sources.size > 0, sources: isAll ? undefined : [...sources] };
}

function missedBy(now: Interest, before: Interest): (source: string) => boolean {
  if (before.sources === undefined) return () => false;
  const newcomers = new Set(now.sources?.filter((source) => !before.sources?.includes(source)));
  return (source) => newcomers.has(source);
}
