/**
 * Giving up on a deletion: the resource is shown as deleted though its agent never said so.
 *
 * For clusters that will never come back. Only somebody's explicit word does it, which stays with the tombstone.
 * Should the agent return after all, the tombstone tells it to delete (`resync.ts`).
 */

import * as q from "../../gen/queries.ts";
import { CONNECTED_SECONDS, describeConnection } from "../consumer/connection.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { EXT } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";
import { formatTime } from "../wire/time.ts";
import { notFound } from "./refusals.ts";
import type { ResourceRow } from "./door.ts";

export interface Abandonment {
  id: string;
  type: "Single" | "Bundle";
  /** Who wants it, as the door knows the caller. */
  by: string;
  sourceId: string;
  /** For the log. */
  operationId: string;
}

/**
 * Abandons a resource; one that is gone already is fine. Resolved means committed.
 *
 * Throws `not_found`, and `conflict` while its agent is connected and was not told to delete: it would go on running what
 * nobody sees any more.
 */
export async function abandonResource(
  db: Db,
  log: Logger,
  { id, type, by, sourceId, operationId }: Abandonment,
): Promise<void> {
  const [row] = await q.resourceGet(db, id);
  if (row === undefined && (await q.tombstoneGet(db, id)).length > 0) return;
  if (row?.type !== type) throw notFound(id);
  const { conditions, event } = lastWord(row, { by, sourceId });
  const gone = await q.resourceAbandon(db, id, type, by, conditions, event, CONNECTED_SECONDS);
  if (gone.length > 0) {
    const { consumer_name: consumer } = row;
    log.warn("abandoned a resource", { resource: id, consumer, by, operation_id: operationId });
    return;
  }
  // Confirmed between the two statements: that is better than what was asked for.
  const [now] = await q.resourceGet(db, id);
  if (now === undefined) return;
  throw new MaestroError(
    "conflict",
    `Cannot abandon resource "${id}": the agent of ${now.consumer_name} is ` +
      `${
        describeConnection(now.silent_seconds)
      } and was not told to delete it; delete it first, and ` +
      "abandon it only if that never ends",
  );
}

/** What sources are told. The statement adds version and sequence. */
function lastWord(
  { id, consumer_name, data_type }: ResourceRow,
  { by, sourceId }: { by: string; sourceId: string },
): { conditions: string; event: string } {
  const time = formatTime(Date.now());
  const condition = {
    type: "Deleted",
    status: "True",
    lastTransitionTime: time.replace(/\.\d+/, ""),
    reason: "Abandoned",
    message: `Abandoned by ${by}: the agent of ${consumer_name} has not confirmed the deletion`,
  };
  const event = encodeStructured({
    id: crypto.randomUUID(),
    source: sourceId,
    type: formatEventType({ dataType: data_type, subresource: "status", action: ACTION.update }),
    time,
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: id,
      [EXT.clusterName]: consumer_name,
      [EXT.originalSource]: sourceId,
    },
  });
  return { conditions: JSON.stringify({ conditions: [condition] }), event };
}
