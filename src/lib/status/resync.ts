/** The answer to a source that says which statuses it holds. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { HeldStatus } from "../wire/resync.ts";
import { toBuriedEvent, toStatusEvent } from "./event.ts";

const PAGE_MAX = 100;
/** Ids looked for at once. A tombstone is small. */
const BURIED_MAX = 1_000;

export interface StatusResyncRequest {
  source: string;
  held: HeldStatus[];
  /** What the source asks for; all that is stored is told, and what is gone is told in this form. */
  dataType: string;
  /** Who the server is to its agents, as in every report of theirs. */
  sourceId: string;
}

/** Resolves when the connection can take more, and to false when it is gone. */
type Deliver = (event: CloudEvent) => Promise<boolean>;

/**
 * Sends the statuses of a source that differ from what it holds; of an empty list, all.
 *
 * Resources without a status have nothing to tell. Of what it holds though it is gone, it is told that it was
 * deleted, as it may have been away by then. An id without a resource and without a tombstone is passed over: a
 * server that was restored from a backup must not make sources forget what runs (promise I6).
 */
export async function answerStatusResync(
  db: Db,
  deliver: Deliver,
  request: StatusResyncRequest,
): Promise<void> {
  const { source, held } = request;
  const hashes = new Map(held.map(({ resourceId, hash }) => [resourceId, hash]));
  const unknown = new Set(hashes.keys());
  let afterId = "";
  for (;;) {
    const page = await q.statusPage(db, source, afterId, PAGE_MAX);
    for (const row of page) {
      unknown.delete(row.id);
      if (row.status === null || row.status_event === null) continue;
      const known = hashes.get(row.id);
      if (held.length > 0 && (known === undefined || known === row.status_hash)) continue;
      const { status, status_event } = row;
      if (!await deliver(toStatusEvent({ ...row, status, status_event }))) return;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) break;
    afterId = last.id;
  }
  await tellDeletions(db, deliver, [...unknown], request);
}

async function tellDeletions(
  db: Db,
  deliver: Deliver,
  unknown: string[],
  { source, dataType, sourceId }: StatusResyncRequest,
): Promise<void> {
  for (let from = 0; from < unknown.length; from += BURIED_MAX) {
    const ids = unknown.slice(from, from + BURIED_MAX);
    for (const row of await q.tombstoneOfSource(db, source, ids)) {
      if (!await deliver(toBuriedEvent(row, { dataType, sourceId }))) return;
    }
  }
}
