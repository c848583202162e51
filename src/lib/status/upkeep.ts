/** Keeps the feed small and ready: partitions ahead of time, old ones dropped, and a word on what holds it back. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { runScript, sqlState } from "../db/query.ts";
import type { Logger } from "../log.ts";

export interface FeedUpkeepOptions {
  retentionSeconds: number;
  /** An entry that waits longer than this for an open transaction is reported. */
  heldSeconds: number;
}

/** Hours that have a partition before they begin: a server may be away for that long. */
const AHEAD_HOURS = 6;
const DELETE_MAX = 5000;
/** Whoever writes or reads a change waits at most this long for upkeep, which then tries again a minute later. */
const LOCK_TIMEOUT = "200ms";
/** Another session is in the way, or was first: lock and statement time-outs, deadlock, the partition is there. */
const NOT_NOW = new Set(["55P03", "57014", "40P01", "42P07", "42809", "23514"]);
/** The server's user may not change tables: then all entries go through the default partition. */
const NOT_ALLOWED = "42501";

/**
 * Does what is due; resolves to true if there is more to do at once. Any number of servers may do it at the same time:
 * one changes a partition, the others find it done or try again later.
 */
export async function keepFeed(db: Db, log: Logger, options: FeedUpkeepOptions): Promise<boolean> {
  const { retentionSeconds, heldSeconds } = options;
  // First: what a restored copy brought must not become the horizon.
  const ahead = await q.changeForgetAhead(db, DELETE_MAX);
  for (const hour of await q.changePartitions(db, AHEAD_HOURS, retentionSeconds)) {
    if (hour.is_there && !hour.is_old) continue;
    const [verb, script] = hour.is_there
      ? ["drop", dropScript(hour.name)]
      : ["add", createScript(hour)];
    // Whoever is in the way of one is in the way of the next.
    if (!await attempt(db, log, verb, script)) break;
  }
  const gone = await q.changePurgeDefault(db, retentionSeconds, DELETE_MAX);
  const [held] = await q.changeHeld(db, heldSeconds);
  if (held !== undefined) {
    log.warn("an open transaction holds the change feed back", {
      for_seconds: held.held_seconds,
      transaction: held.xid,
      holder: held.holder ?? "unknown",
    });
  }
  return ahead.length === DELETE_MAX || gone.length === DELETE_MAX;
}

async function attempt(db: Db, log: Logger, verb: string, script: string): Promise<boolean> {
  try {
    await runScript(db, script);
    return true;
  } catch (error) {
    const state = sqlState(error) ?? "";
    if (state !== NOT_ALLOWED && !NOT_NOW.has(state)) throw error;
    log[state === NOT_ALLOWED ? "warn" : "info"]("a partition of the change feed has to wait", {
      verb,
      error,
    });
    return false;
  }
}

/** Names come from the database and are nothing but letters and digits. */
function createScript({ name, from_time, to_time }: q.ChangePartitionsRow): string {
  return `set local lock_timeout = '${LOCK_TIMEOUT}';
    do $upkeep$ begin
      perform from feed for update;
      if to_regclass('${name}') is null then
        create table ${name} (like changes including defaults including constraints);
        alter table changes attach partition ${name} for values from ('${from_time}') to ('${to_time}');
      end if;
    end $upkeep$;`;
}

// The parent first, in the order in which readers lock. What is dropped is remembered in the same transaction.
function dropScript(name: string): string {
  return `set local lock_timeout = '${LOCK_TIMEOUT}';
    do $upkeep$ begin
      perform from feed for update;
      if to_regclass('${name}') is not null then
        lock table changes in access exclusive mode;
        update feed set horizon_xid = last.xid, horizon_id = last.id
        from (select xid, id from ${name} order by xid desc, id desc limit 1) last
        where (last.xid, last.id) > (feed.horizon_xid, feed.horizon_id);
        drop table ${name};
      end if;
    end $upkeep$;`;
}

/** Drops tombstones older than the retention; resolves to true if there are more. */
export async function purgeTombstones(db: Db, retentionSeconds: number): Promise<boolean> {
  const rows = await q.tombstonePurge(db, retentionSeconds, DELETE_MAX);
  return rows.length === DELETE_MAX;
}
