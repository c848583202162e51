/** The server's own word on a version that cannot be sent to its agent. */

import { createHash } from "node:crypto";
import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { type CloudEvent, EXT, integerExtension, stringExtension } from "../wire/event.ts";
import { ACTION, formatEventType, parseEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";
import { formatTime } from "../wire/time.ts";

/**
 * Logs why an event cannot be sent, and tells its source if it is of a resource. Never rejects: what could not be told is
 * sent again later, and then refused again.
 */
export async function noteRefusal(
  db: Db,
  log: Logger,
  event: CloudEvent,
  options: { reason: string; sourceId: string },
): Promise<void> {
  const fields = { resource: event.extensions[EXT.resourceId], reason: options.reason };
  log.warn("cannot send an event", fields);
  if (fields.resource === undefined) return;
  await refuseSpec(db, event, options)
    .catch((cause) => log.error("cannot store why an event was not sent", { cause, ...fields }));
}

/**
 * Stores `Applied=False` with the reason as the status of the version that a spec event carries, and tells its
 * source. The version stays pending: it is tried again, since a broker's limits may change.
 */
async function refuseSpec(
  db: Db,
  event: CloudEvent,
  { reason, sourceId }: { reason: string; sourceId: string },
): Promise<void> {
  const resourceId = stringExtension(event, EXT.resourceId);
  const version = integerExtension(event, EXT.resourceVersion);
  const now = formatTime(Date.now());
  const condition = {
    type: "Applied",
    status: "False",
    observedGeneration: version,
    lastTransitionTime: now.replace(/\.\d+/, ""),
    reason: "EventNotSent",
    message: reason,
  };
  const { dataType } = parseEventType(event.type);
  const told = {
    id: crypto.randomUUID(),
    source: sourceId,
    type: formatEventType({ dataType, subresource: "status", action: ACTION.update }),
    time: now,
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: resourceId,
      [EXT.resourceVersion]: version,
      [EXT.clusterName]: stringExtension(event, EXT.clusterName),
      [EXT.originalSource]: sourceId,
    },
  };
  await q.statusRefuse(
    db,
    resourceId,
    version,
    JSON.stringify({ conditions: [condition] }),
    encodeStructured(told),
    // Once for a version: the same event is a little larger or smaller each time it is tried.
    createHash("sha256").update(`${version} ${condition.reason}`).digest("hex"),
  );
}
