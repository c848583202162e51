/** Reads resources for many callers at once. */

import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import type { ResourceRow } from "./door.ts";

/** Reads a resource as it is stored now, also while it is being deleted. */
export type ReadResource = (id: string) => Promise<ResourceRow | undefined>;

const BATCH = {
  // As many as are written by one statement.
  sizeMax: 64,
  concurrency: 4,
  waitingMax: 10_000,
  stallMsMax: 1_600,
  meetsAll,
};

/** Creates a reader. What is asked for together is read by one statement, which begins after the asking. */
export function createResourceReader(db: Db): ReadResource {
  let asked = 0;
  const read = createBatch(async (entries: { id: string; key: string }[]) => {
    const rows = await q.resourceGetMany(db, [...new Set(entries.map(({ id }) => id))]);
    const byId = new Map(rows.map((row) => [row.id, row]));
    return entries.map(({ id }) => ({ row: byId.get(id) }));
  }, { ...BATCH, name: "read a resource", key: ({ key }) => key });
  return async (id) => (await read({ id, key: String(asked++) })).row;
}
