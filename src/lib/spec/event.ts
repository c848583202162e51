/** A stored resource as the event that its agent gets. */

import type { ResourceClaimDueRow } from "../../gen/queries.ts";
import { isObject, parseJson } from "../json.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import type { HeldVersion } from "../wire/resync.ts";
import { decodeStructured } from "../wire/structured.ts";
import { formatTime } from "../wire/time.ts";

/** A resource that has just been marked as sent. */
export type SentRow = ResourceClaimDueRow;

export interface SpecEventOptions {
  /** Who sends: the server's own source id, which agents learn and answer to. */
  sourceId: string;
  /** The answer to a resync request has an action of its own. */
  isResync?: boolean;
}

/**
 * Makes the event for an agent.
 *
 * It keeps the id and the time of the event that brought the spec, and what else that carried; a
 * deletion gets a fresh id and time each time. The work is named after the resource id, so that
 * names of two sources cannot clash on a cluster.
 */
export function toSpecEvent(row: SentRow, { sourceId, isResync }: SpecEventOptions): CloudEvent {
  const origin = decodeStructured(row.spec_event);
  const action = isResync
    ? ACTION.resyncResponse
    : row.deleted_at !== null
    ? ACTION.delete
    : row.version === 1
    ? ACTION.create
    : ACTION.update;
  const extensions: CloudEvent["extensions"] = {
    ...origin.extensions,
    [EXT.resourceId]: row.id,
    [EXT.resourceVersion]: row.version,
    [EXT.clusterName]: row.consumer_name,
    [EXT.originalSource]: "",
    [EXT.readAt]: row.sent_at,
  };
  delete extensions[EXT.deletionTimestamp];
  if (row.metadata !== null) extensions[EXT.metadata] = workMetadata(row);
  if (row.deleted_at !== null) extensions[EXT.deletionTimestamp] = row.deleted_at;
  const isFresh = row.deleted_at !== null;
  return {
    id: isFresh ? crypto.randomUUID() : origin.id,
    source: sourceId,
    type: formatEventType({ dataType: row.data_type, subresource: "spec", action }),
    time: isFresh ? formatTime(Date.now()) : origin.time,
    datacontenttype: "application/json",
    extensions,
    data: row.spec,
  };
}

/**
 * Leaves of a deletion what agents look at, for a road that does not take all of it; undefined for any other event. What
 * is to go may have been too large to arrive, or have become so since.
 */
export function toBareDeletion(event: CloudEvent): CloudEvent | undefined {
  if (event.extensions[EXT.deletionTimestamp] === undefined) return undefined;
  const { data: _, datacontenttype: __, extensions, ...rest } = event;
  const needed = Object.entries(extensions).filter(([name]) => NEEDED.has(name));
  return { ...rest, extensions: Object.fromEntries(needed) };
}

/** By these an agent knows what is to be deleted, and that a server says so which knows it. */
const NEEDED = new Set<string>([
  ...[EXT.resourceId, EXT.resourceVersion, EXT.clusterName, EXT.originalSource],
  ...[EXT.deletionTimestamp, EXT.readAt],
]);

/** A deletion for what an agent holds and the server knows to be gone, since `deletedAt`. */
export function toForgottenEvent(
  consumerName: string,
  held: HeldVersion & { deletedAt: string },
  { sourceId, dataType }: { sourceId: string; dataType: string },
): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source: sourceId,
    type: formatEventType({
      dataType,
      subresource: "spec",
      action: ACTION.resyncResponse,
    }),
    time: formatTime(Date.now()),
    extensions: {
      [EXT.resourceId]: held.resourceId,
      // The agent's codec refuses a deletion without a version (quirk Q1 of the wire).
      [EXT.resourceVersion]: held.version,
      [EXT.clusterName]: consumerName,
      [EXT.originalSource]: "",
      [EXT.deletionTimestamp]: held.deletedAt,
      [EXT.readAt]: held.deletedAt,
    },
  };
}

function workMetadata(row: SentRow): string {
  const stored = parseJson(row.metadata ?? "{}");
  const metadata = isObject(stored) ? stored : {};
  metadata["name"] = row.id;
  metadata["creationTimestamp"] = toSeconds(row.created_at);
  if (row.deleted_at !== null) metadata["deletionTimestamp"] = toSeconds(row.deleted_at);
  return JSON.stringify(metadata);
}

/** Kubernetes times have second precision. */
function toSeconds(time: string): string {
  return time.replace(/\.\d+/, "");
}
