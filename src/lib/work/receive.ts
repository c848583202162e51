/**
 * Takes spec events into the agent's memory.
 *
 * Works are matched by their resource id. An older version never replaces a newer one, and a deletion is final:
 * until the server has the confirmation, whatever else arrives for that id is ignored, so that a late update
 * cannot bring back what is being deleted.
 */

import { createHash } from "node:crypto";
import { isObject, type JsonObject, parseJsonObject } from "../json.ts";
import {
  type CloudEvent,
  EXT,
  integerExtension,
  MANIFEST_BUNDLES,
  optionalStringExtension,
  stringExtension,
  timeExtension,
} from "../wire/event.ts";
import { ACTION, type EventType } from "../wire/event_type.ts";
import { timeMicros } from "../wire/time.ts";
import type { Fence } from "./fence.ts";
import { parseWorkSpec, rejectionOf } from "./manifest.ts";
import type { Ownerships } from "./options.ts";
import { textOf, type Work } from "./work.ts";

/**
 * What became of an event. `repeated` means that the server sent again what we hold already, `older` that we hold a later
 * version, `late` that it was said before a deletion or a creation that we know of.
 */
export type Receipt = "changed" | "repeated" | "unchanged" | "older" | "late" | "ignored";

/** The works of one agent by their resource id. */
export type Works = Map<string, Work>;

/** Takes one spec event. Throws `invalid_argument` if it does not say what it is about. */
export function receiveSpec(
  works: Works,
  fence: Pick<Fence, "isLate">,
  event: CloudEvent,
  type: EventType,
): Receipt {
  const uid = stringExtension(event, EXT.resourceId);
  const deletionTimestamp = timeExtension(event, EXT.deletionTimestamp);
  const work = works.get(uid);
  if (work?.deletionTimestamp !== undefined) {
    // A deletion that is sent again, and whose confirmation may have been lost.
    return deletionTimestamp === undefined ? "ignored" : "repeated";
  }
  if (deletionTimestamp !== undefined) {
    // Peers' brokers send the deletion of what their store does not know without a version, in the name of nobody:
    // it means any version.
    const isOfBroker = event.extensions[EXT.resourceVersion] === undefined;
    // A source deletes, without a spec, what it does not know of an agent's list, though it may be another's (quirk Q3
    // of the wire). With the spec it has the resource, under whatever name it is configured now.
    const isForeign = work !== undefined && work.source !== event.source && !isOfBroker;
    if (isForeign && event.data === undefined) return "ignored";
    // The deletion of an earlier life says nothing of what its source has created since.
    if (work !== undefined && isOlder(event, deletionTimestamp, work)) return "late";
    const version = isOfBroker ? work?.version ?? 0 : integerExtension(event, EXT.resourceVersion);
    const deleting = work ?? newWork(uid, event, type);
    deleting.ownerships = ownershipsOf(deleting, version, event, type);
    const readAt = timeExtension(event, EXT.readAt);
    if (readAt === undefined) delete deleting.readAt;
    else deleting.readAt = readAt;
    markDeleting(works, deleting, version, deletionTimestamp);
    return "changed";
  }
  const version = integerExtension(event, EXT.resourceVersion);
  if (fence.isLate(uid, event)) return "late";
  if (version !== 0 && version < heldVersion(work)) return "older";
  return acceptVersion(works, work ?? newWork(uid, event, type), version, event, type);
}

/** The version that is on the cluster, though its spec may not have arrived again since a restart; 0 for none. */
export function heldVersion(work: Work | undefined): number {
  return Math.max(work?.version ?? 0, work?.versionFloor ?? 0);
}

/** True if a deletion was said before what is held: by a server that was held up, or a broker that took its time. */
function isOlder(deletion: CloudEvent, deletionTimestamp: string, { readAt }: Work): boolean {
  if (readAt === undefined) return false;
  const saidAt = timeExtension(deletion, EXT.readAt) ?? deletionTimestamp;
  return timeMicros(saidAt) < timeMicros(readAt);
}

/** A work that is known by its id only. */
function newWork(uid: string, event: CloudEvent, { dataType }: EventType): Work {
  const metadata = readMetadata(event).metadata;
  return {
    uid,
    name: textOf(metadata, "name") || uid,
    version: 0,
    source: event.source,
    dataType,
    metadata,
    logTracing: readLogTracing(event),
    isGone: false,
    isSettled: false,
    conditions: [],
    slots: [],
    mustReport: false,
  };
}

/** A deletion brings the last spec along, which may never have been applied; a list's answer does not. */
function ownershipsOf(
  work: Work,
  version: number,
  { data }: CloudEvent,
  { dataType }: EventType,
): Ownerships | undefined {
  const text = version < heldVersion(work) ? work.specText : data ?? work.specText;
  try {
    if (text === undefined) return undefined;
    const { manifests: _, ...ownerships } = parseWorkSpec(dataType, text);
    return ownerships;
  } catch {
    // It says nothing that could be carried out.
    return undefined;
  }
}

function markDeleting(
  works: Works,
  work: Work,
  version: number,
  deletionTimestamp: string,
): void {
  work.version = version;
  work.deletionTimestamp = deletionTimestamp;
  works.set(work.uid, work);
}

function acceptVersion(
  works: Works,
  work: Work,
  version: number,
  event: CloudEvent,
  { dataType, action }: EventType,
): Receipt {
  const { metadata, problem } = readMetadata(event);
  const hash = createHash("sha256").update(event.data ?? "").digest("hex");
  const isSameVersion = work.version === version && version !== 0;
  const isSame = work.specText !== undefined && work.specHash === hash && isSameVersion;
  const rejection = isSame ? work.rejection : problem ?? rejectionOf(dataType, event.data);
  // What is refused leaves no spec behind by which it would be known again.
  const isRefusedAgain = rejection !== undefined && rejection === work.rejection && isSameVersion;
  // The name stays: it names the AppliedManifestWork, which owns the objects.
  work.source = event.source;
  work.metadata = { ...metadata, name: work.name };
  work.logTracing = readLogTracing(event);
  works.set(work.uid, work);
  // The first word counts: a repetition is no later creation, and nothing to keep on the cluster.
  const isKnown = work.specHash === hash && heldVersion(work) === version;
  if (!isKnown) delete work.readAt;
  const readAt = timeExtension(event, EXT.readAt);
  if (readAt !== undefined) work.readAt ??= readAt;
  const isAsked = action === ACTION.resyncResponse;
  if (isSame || isRefusedAgain) return isAsked ? "unchanged" : "repeated";
  // Not an answer to a restarted agent's question: the server seems to lack the status from before.
  if (work.versionFloor === version && !isAsked) work.mustReport = true;
  work.version = version;
  work.dataType = dataType;
  work.isSettled = false;
  if (rejection === undefined) {
    delete work.rejection;
    work.specText = event.data ?? "";
    work.specHash = hash;
  } else work.rejection = rejection;
  return "changed";
}

function readMetadata(event: CloudEvent): { metadata: JsonObject; problem?: string } {
  const text = event.extensions[EXT.metadata];
  if (typeof text !== "string" || text === "") return { metadata: {} };
  try {
    const metadata = parseJsonObject(text, "the metadata extension");
    // A finalizer of the source's cluster means nothing here and would hold up the deletion for ever.
    delete metadata["finalizers"];
    delete metadata["managedFields"];
    return { metadata };
  } catch (error) {
    return { metadata: {}, problem: (error as Error).message };
  }
}

function readLogTracing(event: CloudEvent): string {
  if (!event.type.startsWith(`${MANIFEST_BUNDLES}.`)) return "{}";
  try {
    const text = optionalStringExtension(event, EXT.logTracing) ?? "{}";
    return isObject(parseJsonObject(text, "the log tracing extension")) ? text : "{}";
  } catch {
    // It only helps to follow a request through logs; without it everything still works.
    return "{}";
  }
}
