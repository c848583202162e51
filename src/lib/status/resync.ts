/** The answer to a source that says which statuses it holds. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { HeldStatus } from "../wire/resync.ts";
import { toStatusEvent } from "./event.ts";

const PAGE_MAX = 100;

/**
 * Sends the statuses of a source that differ from what it holds; of an empty list, all.
 *
 * Resources without a status have nothing to tell. `deliver` resolves when the connection can take
 * more, and false when it is gone.
 */
export async function answerStatusResync(
  db: Db,
  deliver: (event: CloudEvent) => Promise<boolean>,
  source: string,
  held: HeldStatus[],
): Promise<void> {
  const hashes = new Map(held.map(({ resourceId, hash }) => [resourceId, hash]));
  let afterId = "";
  for (;;) {
    const page = await q.statusPage(db, source, afterId, PAGE_MAX);
    for (const row of page) {
      if (row.status === null || row.status_event === null) continue;
      const known = hashes.get(row.id);
      if (held.length > 0 && (known === undefined || known === row.status_hash)) continue;
      const { status, status_event } = row;
      if (!await deliver(toStatusEvent({ ...row, status, status_event }))) return;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) return;
    afterId = last.id;
  }
}
