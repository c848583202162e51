/** What a watcher of bundles is told of a change. */

import type { Change } from "../status/feed_page.ts";
import { canonicalJson, isObject, parseJson } from "../json.ts";
import { matches } from "../search/match.ts";
import type { Condition } from "../search/tree.ts";
import type { ResourceRow } from "../spec/door.ts";
import { presentBundle } from "./present_bundle.ts";

export interface WatchEvent {
  /** The resource; empty for a bookmark. */
  id: string;
  type: "added" | "modified" | "deleted" | "bookmark";
  /** JSON in one line. */
  text: string;
}

/** Presented once, however many watch. */
const texts = new WeakMap<Change, string>();

interface Labels {
  now: unknown;
  before: unknown;
}

/** Read once, however many watch. */
const labelsByChange = new WeakMap<Change, Labels>();

/** The event for a change, as this search sees it; undefined if it is no concern of its. */
export function toWatchEvent(change: Change, condition: Condition): WatchEvent | undefined {
  const row = change.is_current ? toRow(change) : undefined;
  if (row === undefined) return toFarewell(change, condition);
  if (row.type !== "Bundle") return undefined;
  const { id, name, source, consumer_name, type: rowType } = row;
  const fixed = { id, name, source, consumer_name, type: rowType };
  const { now, before } = labelsOf(change);
  const isIn = matches(condition, { ...fixed, labels: now });
  const wasIn = change.labels_before === null
    ? isIn
    : matches(condition, { ...fixed, labels: before });
  if (!isIn && !wasIn) return undefined;
  const type = change.kind === "deleted" || !isIn
    ? "deleted"
    : change.is_creation || !wasIn
    ? "added"
    : "modified";
  const text = texts.get(change) ??
    canonicalJson(presentBundle(row, { isGone: change.kind === "deleted" }));
  texts.set(change, text);
  return { id: row.id, type, text };
}

/**
 * Of a bundle that is gone by now the labels may have changed before, so that its deletion passes no search that it
 * passed then: it is told as deleted here, with what is left of it. Whoever never knew it loses nothing.
 */
function toFarewell(change: Change, condition: Condition): WatchEvent | undefined {
  const { kind, resource_id: id, source, consumer_name, labels_before } = change;
  if (kind !== "deleted" && labels_before === null) return undefined;
  const labels = kind === "deleted" ? undefined : labelsOf(change).before;
  const known = { id, name: change.name ?? undefined, source, consumer_name, labels };
  if (!matches(condition, known)) return undefined;
  const href = `/api/maestro/v1/resource-bundles/${id}`;
  const text = canonicalJson({ consumer_name, href, id, kind: "ResourceBundle" });
  return { id, type: "deleted", text };
}

/** The event for a bundle that is there when somebody begins to watch. */
export function toListedEvent(row: ResourceRow): WatchEvent {
  return { id: row.id, type: "added", text: canonicalJson(presentBundle(row)) };
}

function toRow(change: Change): ResourceRow | undefined {
  const { name, type, data_type, version, spec, created_at, updated_at } = change;
  if (name === null || type === null || data_type === null || version === null) return undefined;
  if (spec === null || created_at === null || updated_at === null) return undefined;
  return {
    ...{ id: change.resource_id, name, type, data_type, version, spec, created_at, updated_at },
    source: change.source,
    consumer_name: change.consumer_name,
    metadata: change.metadata,
    status: change.status,
    status_version: change.status_version,
    status_sequence: change.status_sequence,
    deleted_at: change.deleted_at,
    observed_version: change.observed_version ?? 0,
    applied_version: change.applied_version ?? 0,
    sent_version: change.sent_version ?? 0,
    sent_at: change.sent_at,
    attempts: change.attempts ?? 0,
    next_send_at: change.next_send_at ?? updated_at,
    silent_seconds: change.silent_seconds,
  };
}

function labelsOf(change: Change): Labels {
  const known = labelsByChange.get(change);
  if (known !== undefined) return known;
  const { metadata, labels_before } = change;
  const parsed = metadata === null ? undefined : parseJson(metadata);
  const labels = {
    now: (isObject(parsed) ? parsed["labels"] : undefined) ?? null,
    before: labels_before === null ? null : parseJson(labels_before),
  };
  labelsByChange.set(change, labels);
  return labels;
}
