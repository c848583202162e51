/** What is known of changes that were made for a request which may come again. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import type { Receipt } from "./accept.ts";

/** What became of a change that has failed because another try of it was made before; nothing if it was not. */
export async function findMade(
  db: Db,
  receipt: Receipt | undefined,
  error: unknown,
): Promise<q.ReceiptFindRow | undefined> {
  const isPassing = error instanceof MaestroError && error.code === "unavailable";
  return receipt === undefined || isPassing ? undefined : (await q.receiptFind(db, [receipt]))[0];
}
