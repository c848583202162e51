/** Deletes resources whose jobs have been done for as long as their specs say. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { isObject, parseJson, rawNumber } from "../json.ts";
import type { Logger } from "../log.ts";

/** Who is on record as having deleted them. */
const BY = "ttlSecondsAfterFinished";
const BATCH_MAX = 500;
/** Longer is for ever: 31 years. */
const SECONDS_MAX = 999_999_999;
/** Such works are deleted by whoever made them, as with OCM. */
const REPLICA_SET_LABEL = "work.open-cluster-management.io/manifestworkreplicaset";

/** How long a resource stays once it is done, in seconds; undefined for ever. */
export function ttlOf(
  { spec, metadata = "" }: { spec: string; metadata?: string },
): number | undefined {
  // Nearly no spec says it; the others are not read again for it.
  if (!spec.includes(BY)) return undefined;
  const { deleteOption } = membersOf(spec);
  const given = isObject(deleteOption) ? deleteOption[BY] : undefined;
  const seconds = typeof given === "number" ? given : Number(rawNumber(given) ?? NaN);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > SECONDS_MAX) return undefined;
  const { labels } = metadata.includes(REPLICA_SET_LABEL) ? membersOf(metadata) : {};
  return isObject(labels) && REPLICA_SET_LABEL in labels ? undefined : seconds;
}

function membersOf(text: string): Record<string, unknown> {
  const value = parseJson(text);
  return isObject(value) ? value : {};
}

/** Deletes what is due, a bounded number at a time; resolves to true if there may be more. */
export async function expireResources(db: Db, log: Logger): Promise<boolean> {
  const rows = await q.resourceExpire(db, BATCH_MAX, BY);
  for (const { id, consumer_name: consumer, version, ttl_seconds } of rows) {
    log.info("deleted a resource that is done", {
      resource: id,
      ...{ consumer, version, ttl_seconds, by: BY },
    });
  }
  return rows.length === BATCH_MAX;
}
