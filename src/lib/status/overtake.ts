/** What reports on later versions than are stored mean: the database was restored from a backup. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import type { Report } from "./accept.ts";

/** Looks whether dropped reports were about later versions, and overtakes what waits behind those. */
export type Overtake = (stale: readonly Report[]) => Promise<void>;

/** Whatever reports without end is told of once in this time. */
const TOLD_MS = 60_000;

/**
 * Makes one for an acceptor.
 *
 * A change that was asked for since gets a version above the agent's and is sent at once. Where nothing was asked for,
 * the agent keeps what it holds, and its reports cannot be shown: the log says so.
 */
export function createOvertake(db: Db, log: Logger): Overtake {
  let dropped = 0;
  let toldMs = -Infinity;
  return async (stale) => {
    const reports = stale.filter(({ version, isDeleted }) => version > 0 && !isDeleted);
    if (reports.length === 0) return;
    const rows = await q.resourceOvertake(
      db,
      reports.map(({ resourceId }) => resourceId),
      reports.map(({ consumerName }) => consumerName),
      reports.map(({ version }) => version),
      reports.map(({ sequence }) => sequence ?? null),
    );
    for (const { id, consumer_name, version, new_version } of rows) {
      if (new_version === null) dropped++;
      else {
        const fields = { resource: id, consumer: consumer_name, version, new_version };
        log.warn("gave a change a version above the one that its agent holds", fields);
      }
    }
    const [first] = rows.filter(({ new_version }) => new_version === null);
    if (first === undefined || performance.now() - toldMs < TOLD_MS) return;
    log.warn("dropped reports on later versions than are stored; was the database restored?", {
      reports: dropped,
      resource: first.id,
      consumer: first.consumer_name,
      version: first.version,
    });
    dropped = 0;
    toldMs = performance.now();
  };
}
