/** A stored status as the event that its source gets. */

import type { TombstoneOfSourceRow } from "../../gen/queries.ts";
import { canonicalJson, isObject, parseJson } from "../json.ts";
import { type CloudEvent, EXT, MANIFESTS } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import { decodeStructured } from "../wire/structured.ts";
import type { Condition } from "../wire/work_status.ts";

/** What is known of a resource when its source is told of it. Documents are JSON text. */
export interface StatusRow {
  spec: string | null;
  metadata: string | null;
  status: string;
  status_event: string;
  created_at: string;
  deleted_at: string | null;
}

/**
 * What Go's clients take in one message, with room for the attributes. They end a stream that brings more, come
 * back, and are brought the same again: one such event would keep everything else from its source.
 */
const EVENT_BYTES_MAX = (4 * 1024 - 64) * 1024;

/**
 * Makes the event for a source: the report as the agent sent it, with the spec that it is about and the
 * metadata that the source itself gave (captured behaviour of the Go server). That of a single manifest goes on as
 * it came (wire.md §4.4). What would be too large goes without the spec, and then with nothing but its conditions.
 */
export function toStatusEvent(row: StatusRow): CloudEvent {
  const event = decodeStructured(row.status_event);
  const isSingle = event.type.startsWith(`${MANIFESTS}.`);
  const metadata = isSingle || row.metadata === null ? undefined : sourceMetadata(row);
  if (metadata !== undefined) event.extensions[EXT.metadata] = metadata;
  event.datacontenttype = "application/json";
  const bytesMax = EVENT_BYTES_MAX - Buffer.byteLength(metadata ?? "");
  // No unit of UTF-16 takes more than three bytes, so that nearly none has to be measured.
  const fits = (data: string) => data.length * 3 <= bytesMax || Buffer.byteLength(data) <= bytesMax;
  const whole = isSingle || row.spec === null ? row.status : withSpec(row.status, row.spec);
  event.data = [whole, row.status].find(fits) ?? conditionsOf(row.status);
  return event;
}

/**
 * Makes the event that tells a source of a deletion which it has missed: as its agent confirmed it, but without the
 * last state, which is no longer kept. `dataType` is the one that the source asks for.
 */
export function toBuriedEvent(
  row: TombstoneOfSourceRow,
  { dataType, sourceId }: { dataType: string; sourceId: string },
): CloudEvent {
  const condition: Condition = {
    type: "Deleted",
    status: "True",
    lastTransitionTime: toSeconds(row.confirmed_at),
    reason: "ManifestsDeleted",
    message: `The manifests are deleted from the cluster ${row.consumer_name}`,
  };
  return {
    id: crypto.randomUUID(),
    source: sourceId,
    type: formatEventType({ dataType, subresource: "status", action: ACTION.resyncResponse }),
    time: row.confirmed_at,
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: row.id,
      [EXT.resourceVersion]: row.version,
      [EXT.clusterName]: row.consumer_name,
      [EXT.originalSource]: sourceId,
      [EXT.sequenceId]: row.last_sequence ?? "0",
    },
    data: JSON.stringify({ conditions: [condition] }),
  };
}

/** Both are JSON objects as they travelled; text is put together, so that no byte of them changes. */
function withSpec(status: string, spec: string): string {
  const members = status.slice(status.indexOf("{") + 1);
  const separator = members.trimStart().startsWith("}") ? "" : ",";
  return `{"manifestBundle":${spec}${separator}${members}`;
}

function conditionsOf(status: string): string {
  const document = parseJson(status);
  return canonicalJson({ conditions: isObject(document) ? document["conditions"] ?? null : null });
}

function sourceMetadata(row: StatusRow): string {
  const stored = parseJson(row.metadata ?? "{}");
  const metadata = isObject(stored) ? stored : {};
  metadata["creationTimestamp"] = toSeconds(row.created_at);
  if (row.deleted_at !== null) metadata["deletionTimestamp"] = toSeconds(row.deleted_at);
  return JSON.stringify(metadata);
}

/** Kubernetes' times are whole seconds. */
function toSeconds(time: string): string {
  return time.replace(/\.\d+/, "");
}
