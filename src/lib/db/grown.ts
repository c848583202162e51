/** Lets PostgreSQL plan anew for tables that have grown. */

import * as q from "../../gen/queries.ts";
import type { Db } from "./connect.ts";
import { runScript } from "./query.ts";

/** Those that grow by what users and agents do. Partitions of the feed are new each hour, and planned as unknown. */
const TABLES = ["consumers", "events", "receipts", "request_keys", "resources", "tombstones"];
/** Below it any plan is quick: 256 KiB, some hundred resources. */
const MORE_PAGES = 32;

/**
 * Analyzes each table that has more than twice the pages of when it was last analyzed; by that all sessions plan anew.
 *
 * Plans are kept, and one that was made for a handful of rows may read a whole index for each row that it looks up.
 * PostgreSQL itself looks for what has grown once a minute, in which we store a quarter of a million resources.
 */
export async function analyzeGrown(db: Db): Promise<void> {
  for (const { name } of await q.tableGrown(db, TABLES, MORE_PAGES)) {
    // Who finds it locked leaves it to whoever analyzes, vacuums or changes it.
    await runScript(db, `analyze (skip_locked) ${name}`);
  }
}
