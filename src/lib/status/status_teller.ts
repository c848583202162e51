/** What sources are told of the feed: statuses and deletions, as events. */

import type { CloudEvent } from "../wire/event.ts";
import { toStatusEvent } from "./event.ts";
import type { Change } from "./feed_page.ts";

/** The event for a change's source; undefined for what sources are not told of, as their own specs. */
export function toFeedEvent(change: Change): CloudEvent | undefined {
  const { status, status_event, created_at, deleted_at, spec, metadata } = change;
  if (change.kind === "spec" || !change.is_current) return undefined;
  if (status === null || status_event === null || created_at === null) return undefined;
  return toStatusEvent({ spec, metadata, status, status_event, created_at, deleted_at });
}
