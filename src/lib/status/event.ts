/** A stored status as the event that its source gets. */

import { isObject, parseJson } from "../json.ts";
import { type CloudEvent, EXT, MANIFESTS } from "../wire/event.ts";
import { decodeStructured } from "../wire/structured.ts";

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
 * Makes the event for a source: the report as the agent sent it, with the spec that it is about and the
 * metadata that the source itself gave (captured behaviour of the Go server). That of a single manifest goes on as
 * it came (wire.md §4.4).
 */
export function toStatusEvent(row: StatusRow): CloudEvent {
  const event = decodeStructured(row.status_event);
  const isSingle = event.type.startsWith(`${MANIFESTS}.`);
  if (isSingle) return { ...event, datacontenttype: "application/json", data: row.status };
  const metadata = row.metadata === null ? undefined : sourceMetadata(row);
  if (metadata !== undefined) event.extensions[EXT.metadata] = metadata;
  event.datacontenttype = "application/json";
  event.data = row.spec === null ? row.status : withSpec(row.status, row.spec);
  return event;
}

/** Both are JSON objects as they travelled; text is put together, so that no byte of them changes. */
function withSpec(status: string, spec: string): string {
  const members = status.slice(status.indexOf("{") + 1);
  const separator = members.trimStart().startsWith("}") ? "" : ",";
  return `{"manifestBundle":${spec}${separator}${members}`;
}

function sourceMetadata(row: StatusRow): string {
  const stored = parseJson(row.metadata ?? "{}");
  const metadata = isObject(stored) ? stored : {};
  metadata["creationTimestamp"] = row.created_at.replace(/\.\d+/, "");
  if (row.deleted_at !== null) metadata["deletionTimestamp"] = row.deleted_at.replace(/\.\d+/, "");
  return JSON.stringify(metadata);
}
