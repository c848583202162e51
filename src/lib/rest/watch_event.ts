/** What a watcher of bundles is told of a change. */

import type { Change } from "../status/feed_page.ts";
import { isObject, parseJson } from "../json.ts";
import { matches } from "../search/match.ts";
import type { Condition } from "../search/tree.ts";
import type { ResourceRow } from "../spec/door.ts";

export interface WatchEvent<Shown> {
  /** The resource; empty for a bookmark. */
  id: string;
  type: "added" | "modified" | "deleted" | "bookmark";
  /** The bundle; nothing for a bookmark. */
  shown?: Shown;
  /** About how much it takes while it waits. */
  bytes: number;
}

/** What is known of a bundle that is gone. */
export interface Left {
  id: string;
  source: string;
  consumer_name: string;
}

/** How a protocol shows bundles to those who watch. */
export interface Presentation<Shown> {
  /** A change is presented once, however many watch. */
  memory: WeakMap<Change, Shown>;
  /** A bundle as it is, or as it was last. */
  bundle(row: ResourceRow, options: { isGone: boolean }): Shown;
  /** What is left of one that is gone without a trace. */
  farewell(left: Left): Shown;
  bytes(shown: Shown): number;
}

interface Labels {
  now: unknown;
  before: unknown;
}

/** Read once, however many watch. */
const labelsByChange = new WeakMap<Change, Labels>();

/** The event for a change, as this search sees it; undefined if it is no concern of its. */
export function toWatchEvent<Shown>(
  change: Change,
  condition: Condition,
  presentation: Presentation<Shown>,
): WatchEvent<Shown> | undefined {
  const row = change.is_current ? toRow(change) : undefined;
  if (row === undefined) return toFarewell(change, condition, presentation);
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
  const { memory } = presentation;
  const shown = memory.get(change) ??
    presentation.bundle(row, { isGone: change.kind === "deleted" });
  memory.set(change, shown);
  return { id: row.id, type, shown, bytes: presentation.bytes(shown) };
}

/**
 * Of a bundle that is gone by now the labels may have changed before, so that its deletion passes no search that it
 * passed then: it is told as deleted here, with what is left of it. Whoever never knew it loses nothing.
 */
function toFarewell<Shown>(
  change: Change,
  condition: Condition,
  presentation: Presentation<Shown>,
): WatchEvent<Shown> | undefined {
  const { kind, resource_id: id, source, consumer_name, labels_before } = change;
  if (kind !== "deleted" && labels_before === null) return undefined;
  const labels = kind === "deleted" ? undefined : labelsOf(change).before;
  const known = { id, name: change.name ?? undefined, source, consumer_name, labels };
  if (!matches(condition, known)) return undefined;
  const shown = presentation.farewell({ id, source, consumer_name });
  return { id, type: "deleted", shown, bytes: presentation.bytes(shown) };
}

/** The event for a bundle that is there when somebody begins to watch. */
export function toListedEvent<Shown>(
  row: ResourceRow,
  presentation: Presentation<Shown>,
): WatchEvent<Shown> {
  const shown = presentation.bundle(row, { isGone: false });
  return { id: row.id, type: "added", shown, bytes: presentation.bytes(shown) };
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
