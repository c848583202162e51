/** The answer to a source that says which statuses it holds. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { portions } from "../portions.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { HeldStatus } from "../wire/resync.ts";
import { toBuriedEvent, toStatusEvent } from "./event.ts";
import type { Feed } from "./feed.ts";

/** Hashes read at once, and ids looked for among the tombstones: both are small. */
const PAGE_MAX = 1_000;
/** Statuses told at once, with their specs. */
const TURN_LIMITS = { countMax: 100, storedBytesMax: 2 * 1024 * 1024 };

export interface StatusResyncRequest {
  source: string;
  held: HeldStatus[];
  /** What the source asks for; all that is stored is told, and what is gone is told in this form. */
  dataType: string;
  /** Who the server is to its agents, as in every report of theirs. */
  sourceId: string;
}

/** Who is answered. */
export interface Asking {
  /** Hands an event over; it must not wait. */
  tell(event: CloudEvent): void;
  /** Resolves when there is room for more, and to false if nobody is left. */
  caughtUp(): Promise<boolean>;
}

/**
 * Sends the statuses of a source that differ from what it holds; of an empty list, all.
 *
 * Resources without a status have nothing to tell. Of what it holds though it is gone, it is told that it was
 * deleted, as it may have been away by then. An id without a resource and without a tombstone is passed over: a
 * server that was restored from a backup must not make sources forget what runs (promise I6).
 *
 * States are read and told in turns with the feed and with other answers to the source, so that none comes after a
 * newer one (promise I7).
 */
export async function answerStatusResync(
  db: Db,
  feed: Pick<Feed, "inTurn">,
  asking: Asking,
  request: StatusResyncRequest,
): Promise<void> {
  const { source, held } = request;
  const hashes = new Map(held.map(({ resourceId, hash }) => [resourceId, hash]));
  const unknown = new Set(hashes.keys());
  const differs = ({ id, status_hash, has_status }: q.StatusHashesOfSourceRow) => {
    const known = hashes.get(id);
    return has_status && (held.length === 0 || (known !== undefined && known !== status_hash));
  };
  let page: q.StatusHashesOfSourceRow[];
  let afterId = "";
  do {
    page = await q.statusHashesOfSource(db, source, afterId, PAGE_MAX);
    for (const { id } of page) unknown.delete(id);
    for (const ids of portions(page.filter(differs), TURN_LIMITS)) {
      const tellStatuses = async () => {
        for (const row of await q.statusOfResources(db, source, ids)) {
          asking.tell(toStatusEvent(row));
        }
      };
      await feed.inTurn(source, tellStatuses);
      if (!await asking.caughtUp()) return;
    }
    afterId = page.at(-1)?.id ?? "";
  } while (page.length === PAGE_MAX);
  await tellDeletions(db, feed, asking, [...unknown], request);
}

async function tellDeletions(
  db: Db,
  feed: Pick<Feed, "inTurn">,
  asking: Asking,
  unknown: string[],
  { source, dataType, sourceId }: StatusResyncRequest,
): Promise<void> {
  for (let from = 0; from < unknown.length; from += PAGE_MAX) {
    const ids = unknown.slice(from, from + PAGE_MAX);
    await feed.inTurn(source, async () => {
      for (const row of await q.tombstoneOfSource(db, source, ids)) {
        asking.tell(toBuriedEvent(row, { dataType, sourceId }));
      }
    });
    if (!await asking.caughtUp()) return;
  }
}
