/**
 * The change feed: how every replica learns of every stored status.
 *
 * Guarantee: each subscriber sees, in order for each resource, the last state of every burst and every
 * deletion, once. Statements that commit late are not passed over, since readers stop below the oldest
 * transaction that still runs. The price: an open transaction elsewhere in the database holds the feed back.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { CloudEvent } from "../wire/event.ts";
import { toStatusEvent } from "./event.ts";

const READ_MAX = 500;

export interface Feed {
  /** Makes sure that whatever is stored from now on is seen. Call it before a subscriber is let in. */
  open(): Promise<void>;
  /** Tells subscribers what is new; resolves to true if there may be more. */
  read(): Promise<boolean>;
}

/**
 * Makes a reader of the feed. `sources` gives those that somebody here subscribes to; while there is none,
 * nothing is read, and the next one starts at the end.
 */
export function createFeed(
  db: Db,
  broadcast: (source: string, event: CloudEvent) => void,
  sources: () => string[],
): Feed {
  let cursor: { xid: string; id: string } | undefined;
  return {
    async open() {
      if (cursor !== undefined) return;
      const [row] = await q.changeCursor(db);
      // The transaction named has not ended, so all of its rows come after this place.
      cursor ??= { xid: row?.xid ?? "0", id: "0" };
    },
    async read() {
      const interested = sources();
      if (interested.length === 0) cursor = undefined;
      if (cursor === undefined) return false;
      const rows = await q.changeRead(db, cursor.xid, cursor.id, interested, READ_MAX);
      const newcomers = sources().filter((source) => !interested.includes(source));
      for (const row of rows) {
        // Let in while the statement ran, which therefore brought no states for it: read again from here.
        if (newcomers.includes(row.source)) return true;
        const event = toFeedEvent(row);
        if (event !== undefined) broadcast(row.source, event);
        cursor = { xid: row.xid, id: row.id };
      }
      return rows.length === READ_MAX;
    },
  };
}

function toFeedEvent(row: q.ChangeReadRow): CloudEvent | undefined {
  const { status, status_event } = row;
  if (!row.is_current || status === null || status_event === null) return undefined;
  return toStatusEvent({
    spec: row.spec,
    metadata: row.metadata,
    status,
    status_event,
    created_at: row.resource_created_at,
    deleted_at: row.resource_deleted_at,
  });
}

const PURGE_MAX = 5000;

/** Drops entries older than the retention; resolves to true if there are more. */
export async function purgeFeed(db: Db, retentionSeconds: number): Promise<boolean> {
  const rows = await q.changePurge(db, retentionSeconds, PURGE_MAX);
  return rows.length === PURGE_MAX;
}

/** Drops tombstones older than the retention; resolves to true if there are more. */
export async function purgeTombstones(db: Db, retentionSeconds: number): Promise<boolean> {
  const rows = await q.tombstonePurge(db, retentionSeconds, PURGE_MAX);
  return rows.length === PURGE_MAX;
}
