/** Reads the change feed page by page, and says so if something is missing between two pages. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { type Cursor, tooOld } from "./cursor.ts";

/** An entry of the feed, with the state that is to be told; `is_current` says whether there is one. */
export interface Change extends q.ChangeReadRow {
  xid: string;
  id: string;
  kind: string;
  source: string;
  resource_id: string;
  consumer_name: string;
}

/** What follows a cursor. */
export interface FeedPage {
  changes: Change[];
  /** The place after it. */
  next: Cursor;
  /** True if there was no more when it was read. */
  isLast: boolean;
  /** True if there was more behind a transaction that still runs. */
  isHeld: boolean;
}

/** As `read.sql` has it. */
const CHANGES_MAX = 500;

/** The place from which a reader that starts now misses nothing. */
export async function readNow(db: Db): Promise<Cursor> {
  const [row] = await q.changeCursor(db);
  // The transaction named has not ended, so all of its entries come after this place.
  return { epoch: row?.epoch ?? "", xid: row?.xid ?? "0", id: "0" };
}

/**
 * Reads what follows the cursor, with the states of these sources or, without them, of all and the specs. Throws `gone` if that
 * would leave out anything: entries that were dropped, another feed, a place that is yet to come.
 */
export async function readPage(
  db: Db,
  cursor: Cursor,
  sources: readonly string[] | undefined,
): Promise<FeedPage> {
  const rows = await q.changeRead(db, cursor.xid, cursor.id, sources ?? null);
  const [first] = rows;
  if (first === undefined) throw tooOld("the feed has lost its own record");
  const { epoch } = cursor;
  if (first.epoch !== epoch) throw tooOld("it is of another database, or from before a failover");
  if (first.is_ahead) throw tooOld("it is of a later time than this database knows");
  if (first.is_too_old) throw tooOld("what followed it has been dropped since");
  const changes = rows.filter((row): row is Change => row.id !== null);
  const last = changes.at(-1);
  const isLast = last === undefined ||
    (first.page_count < CHANGES_MAX && changes.length === first.page_count);
  const next = isLast || last === undefined
    ? { epoch, xid: first.next_xid, id: "0" }
    : { epoch, xid: last.xid, id: last.id };
  return { changes, next, isLast, isHeld: first.is_held };
}
