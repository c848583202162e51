/** What is known of changes that were made for a request which may come again. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";

/** The receipt of a change, if it was made. */
export async function findReceipt(
  db: Db,
  id: string,
): Promise<q.ReceiptFindRow | undefined> {
  return (await q.receiptFind(db, [id]))[0];
}
