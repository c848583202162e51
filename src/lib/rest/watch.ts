/** Watching bundles: what is there now, then every change (docs/watching.md). */

import * as q from "../../gen/queries.ts";
import { callAt } from "../call_at.ts";
import type { Db } from "../db/connect.ts";
import { find } from "../db/find.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { RESOURCES } from "../search/listed.ts";
import type { Condition } from "../search/tree.ts";
import type { Feed } from "../status/feed.ts";
import { type Follower, startFollowing } from "../status/follow.ts";
import { type Presentation, toListedEvent, toWatchEvent } from "./watch_event.ts";
import { createWatchQueue, type WatchQueue } from "./watch_queue.ts";

export interface WatchOptions {
  feed: Feed;
  /** Watchers at once. */
  watchersMax: number;
  /** Time between bookmarks. */
  heartbeatMs?: number;
  /** Events that may wait for a watcher. */
  waitingMax?: number;
}

export interface WatchRequest {
  condition: Condition;
  /** Where to go on; without one the watcher is told first what is there. */
  cursor: string | undefined;
  operationId: string;
  /** Until when the watcher's token is good, in milliseconds since 1970; for ever without it. */
  untilMs: number | undefined;
}

export interface Watchers {
  /** Opens a queue. Throws if the cursor is no good, or if there are too many watchers. */
  open<Shown>(
    request: WatchRequest,
    presentation: Presentation<Shown>,
  ): Promise<WatchQueue<Shown>>;
  /**
   * Counts another long answer among the watchers: it is refused like them, and ended with them or at its time. Returns
   * what to call when it is over.
   */
  admit(end: (error: MaestroError) => void, untilMs: number | undefined): () => void;
  /** Ends all of them, and lets in no more. */
  close(): void;
}

const HEARTBEAT_MS = 15_000;
const WAITING_MAX = 2_000;
/** A page of the feed has up to 8 MB, and one of a list some 100 bundles. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;
/** With no more than this waiting there is room for a page. */
const LITTLE = { events: 100, bytes: 1024 * 1024 };
const NOTHING = { events: 0, bytes: 0 };
const LIST_PAGE = 100;

/** Makes the watchers of a server. */
export function createWatchers(db: Db, log: Logger, options: WatchOptions): Watchers {
  const admitted = new Set<(error: MaestroError) => void>();
  let isClosed = false;

  const admit: Watchers["admit"] = (end, untilMs) => {
    if (isClosed) throw new MaestroError("unavailable", "the server is shutting down");
    if (admitted.size >= options.watchersMax) {
      const reason = `this server has ${options.watchersMax} watchers, and takes no more`;
      throw new MaestroError("resource_exhausted", reason);
    }
    // A function of its own, so that whoever comes twice counts twice.
    const own = (error: MaestroError) => end(error);
    admitted.add(own);
    const callOff = untilMs === undefined ? undefined : callAt(untilMs, () => own(expired()));
    return () => {
      callOff?.();
      admitted.delete(own);
    };
  };

  const openQueue = async <Shown>(
    { cursor, condition, operationId }: WatchRequest,
    presentation: Presentation<Shown>,
    ended: () => void,
  ) => {
    const parts: { queue?: WatchQueue<Shown> } = {};
    const follower = createFollower(condition, () => parts.queue, presentation);
    const { from, run } = await startFollowing(db, options.feed, follower, cursor);
    const queue = createWatchQueue<Shown>(from, {
      waitingMax: options.waitingMax ?? WAITING_MAX,
      waitingBytesMax: WAITING_BYTES_MAX,
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      ended: () => {
        options.feed.leave(follower);
        ended();
      },
    });
    parts.queue = queue;
    const watch = async () => {
      if (cursor === undefined && !await list(db, queue, condition, presentation)) return;
      queue.bookmark();
      if (cursor === undefined && !await queue.waitsFor(NOTHING)) return;
      await run();
    };
    watch().catch((error) => {
      log.warn("a watcher has to come back", { error, operation_id: operationId });
      queue.end(error);
    });
    return queue;
  };

  return {
    admit,
    async open(request, presentation) {
      let early: MaestroError | undefined;
      let end: (error: MaestroError) => void = (error) => void (early = error);
      const leave = admit((error) => end(error), request.untilMs);
      try {
        const queue = await openQueue(request, presentation, leave);
        end = queue.end;
        if (early !== undefined) queue.end(early);
        return queue;
      } catch (error) {
        leave();
        throw error;
      }
    },
    close() {
      isClosed = true;
      const reason = "the server is shutting down: watch again from the cursor";
      for (const end of [...admitted]) end(new MaestroError("unavailable", reason));
    },
  };
}

function expired(): MaestroError {
  const reason = "the token has expired: come back with another";
  return new MaestroError("unauthenticated", reason);
}

function createFollower<Shown>(
  condition: Condition,
  queue: () => WatchQueue<Shown> | undefined,
  presentation: Presentation<Shown>,
): Follower {
  return {
    sources: () => undefined,
    isGone: () => queue()?.isClosed ?? false,
    roomy: async () => await queue()?.waitsFor(LITTLE) ?? false,
    take(changes, next) {
      for (const change of changes) {
        const event = toWatchEvent(change, condition, presentation);
        if (event === undefined) continue;
        const { xid, id } = change;
        if (queue()?.push(event, { epoch: next.epoch, xid, id }) ?? false) continue;
        const reason = "too many events wait for this watcher: watch again from the cursor";
        return queue()?.end(new MaestroError("resource_exhausted", reason));
      }
      queue()?.move(next);
    },
    end: (error) => queue()?.end(error),
  };
}

/** Tells what is there. False: the watcher is gone. */
async function list<Shown>(
  db: Db,
  queue: WatchQueue<Shown>,
  condition: Condition,
  presentation: Presentation<Shown>,
): Promise<boolean> {
  const order = [{ column: "id" as const, isDescending: false }];
  const documents = { spec: true, status: true };
  const wanted = { listed: RESOURCES, condition, type: "Bundle" as const, order, documents };
  for (let after = "";;) {
    const found = await find(db, { ...wanted, limit: LIST_PAGE, after: [after] });
    const ids = found.map(({ id }) => id);
    for (const row of await q.resourceReadListed(db, ids, documents.spec, documents.status)) {
      queue.push(toListedEvent(row, presentation));
    }
    if (!await queue.waitsFor(LITTLE)) return false;
    after = ids.at(-1) ?? "";
    if (ids.length < LIST_PAGE) return true;
  }
}
