/** The bodies of resync requests: what the asking side holds. */

import { MaestroError } from "../errors.ts";
import { rawNumber } from "../json.ts";
import { type CloudEvent, EXT, optionalStringExtension, RESOURCE_VERSION_MAX } from "./event.ts";
import { ACTION, formatEventType } from "./event_type.ts";
import { ANY, type Kind, list, NUMBER, object, parseMembers, TEXT } from "./members.ts";

/** One resource as the agent holds it. */
export interface HeldVersion {
  resourceId: string;
  version: number;
  /** The version is on the cluster, but its spec is not known to the agent any more, as after a restart. */
  lacksSpec?: boolean;
}

/** One status as the source holds it. */
export interface HeldStatus {
  resourceId: string;
  hash: string;
}

/**
 * The ids that a resync request is about, compared by their bytes: those behind `after`, up to `through`.
 *
 * An agent that holds more than fits into one message asks in several. What a list does not name counts as
 * missing, so each says how far it goes.
 */
export interface ResyncRange {
  after: string;
  /** Undefined for all that follow. */
  through?: string;
}

const EVERYTHING: ResyncRange = { after: "" };

/** Reads the range of a resync request; of a peer's it is everything. */
export function resyncRange(event: CloudEvent): ResyncRange {
  const after = optionalStringExtension(event, EXT.resyncAfter);
  const through = optionalStringExtension(event, EXT.resyncThrough);
  if (after === undefined && through === undefined) return EVERYTHING;
  return { after: after ?? "", ...(through === undefined ? {} : { through }) };
}

/** True if the range holds the id. Ids are ASCII, so this is the order of their bytes. */
export function isInRange(id: string, { after, through }: ResyncRange): boolean {
  return id > after && (through === undefined || id <= through);
}

/**
 * Cuts a list of what is held into parts whose bodies have at most `bytesMax` bytes each, with their ranges.
 *
 * A list that fits is one part without a range, as peers send it.
 */
export function cutHeld(
  held: readonly HeldVersion[],
  bytesMax: number,
): { held: HeldVersion[]; range?: ResyncRange }[] {
  const bytesOf = ({ resourceId }: HeldVersion) => resourceId.length + ENTRY_BYTES;
  const bytes = held.reduce((sum, one) => sum + bytesOf(one), 0);
  if (bytes <= bytesMax) return [{ held: [...held] }];
  const sorted = held.toSorted((a, b) => (a.resourceId < b.resourceId ? -1 : 1));
  const parts: { held: HeldVersion[]; range: ResyncRange }[] = [];
  let part: HeldVersion[] = [];
  let partBytes = 0;
  let after = "";
  for (const one of sorted) {
    if (part.length > 0 && partBytes + bytesOf(one) > bytesMax) {
      const through = part.at(-1)?.resourceId ?? "";
      parts.push({ held: part, range: { after, through } });
      after = through;
      part = [];
      partBytes = 0;
    }
    part.push(one);
    partBytes += bytesOf(one);
  }
  parts.push({ held: part, range: { after } });
  return parts;
}

/** The longest that an entry can be besides its id: names, quotes, and a version of ten digits. */
const ENTRY_BYTES = `{"resourceID":"","resourceVersion":0,"heldVersion":2147483647},`.length;

/**
 * What a resync request asks for. The body says it best: peers answer whatever the type's subresource is, so a peer
 * with a wrong one has never been told.
 */
export function resyncSubject(
  data: string | undefined,
  subresource: "spec" | "status",
): "spec" | "status" {
  if (data === undefined || data === "") return subresource;
  const body = parseMembers(data, "the resync request", LISTS);
  if (body["statusHashes"] !== undefined) return "status";
  return body["resourceVersions"] === undefined ? subresource : "spec";
}

/**
 * The body of a spec resync request (agent → source). A spec is asked for by version 0; what is held nevertheless is in
 * a member of ours, which peers ignore.
 */
export function encodeSpecResync(held: HeldVersion[]): string {
  return JSON.stringify({
    resourceVersions: held.map(({ resourceId, version, lacksSpec }) =>
      lacksSpec
        ? { resourceID: resourceId, resourceVersion: 0, heldVersion: version }
        : { resourceID: resourceId, resourceVersion: version }
    ),
  });
}

/** Reads the body of a spec resync request. An absent body is an error, an absent list is empty. */
export function decodeSpecResync(data: string | undefined): HeldVersion[] {
  return entries(data, "resourceVersions", VERSIONS).map((entry) => {
    const resourceId = idOf(entry.resourceID, "resourceVersions");
    const version = wholeNumber(entry.resourceVersion);
    const heldVersion = wholeNumber(entry.heldVersion);
    return version < heldVersion
      ? { resourceId, version: heldVersion, lacksSpec: true }
      : { resourceId, version };
  });
}

/** A question about this is about nothing: an empty list would ask for everything, and no agent holds this name. */
export const NOTHING: HeldStatus = { resourceId: "-", hash: "" };

/** The question of a source to an agent: the statuses of these resources that have another hash. */
export function statusQuestion(
  { consumerName, dataType, sourceId }: Record<"consumerName" | "dataType" | "sourceId", string>,
  held: readonly HeldStatus[],
  { id, time }: { id: string; time: string },
): CloudEvent {
  return {
    id,
    source: sourceId,
    type: formatEventType({ dataType, subresource: "status", action: ACTION.resyncRequest }),
    time,
    datacontenttype: "application/json",
    extensions: { [EXT.clusterName]: consumerName, [EXT.originalSource]: "" },
    data: encodeStatusResync(held),
  };
}

/** The body of a status resync request (source → agent). */
export function encodeStatusResync(held: readonly HeldStatus[]): string {
  return JSON.stringify({
    statusHashes: held.map(({ resourceId, hash }) => ({
      resourceID: resourceId,
      statusHash: hash,
    })),
  });
}

/** Reads the body of a status resync request. An absent body is an error, an absent list is empty. */
export function decodeStatusResync(data: string | undefined): HeldStatus[] {
  return entries(data, "statusHashes", HASHES).map(({ resourceID, statusHash = "" }) => ({
    resourceId: idOf(resourceID, "statusHashes"),
    hash: statusHash,
  }));
}

const VERSIONS = object({
  resourceVersions: list({ resourceID: TEXT, resourceVersion: NUMBER, heldVersion: NUMBER }),
});
const LISTS = object({ resourceVersions: ANY, statusHashes: ANY });
const HASHES = object({ statusHashes: list({ resourceID: TEXT, statusHash: TEXT }) });

interface Entry {
  resourceID?: string;
  resourceVersion?: unknown;
  heldVersion?: unknown;
  statusHash?: string;
}

function entries(data: string | undefined, key: string, kind: Kind): Entry[] {
  if (data === undefined || data === "") throw invalid("it has no data");
  const document = parseMembers(data, "the resync request", kind);
  return (document[key] ?? []) as Entry[];
}

function idOf(id: string | undefined, key: string): string {
  if (id === undefined || id === "") throw invalid(`an entry of ${key} has no resourceID`);
  return id;
}

/** A version that no resource can have counts as the nearest one that it can. */
function wholeNumber(value: unknown): number {
  const number = Math.trunc(Number(rawNumber(value) ?? value ?? 0));
  return Math.max(0, Math.min(number, RESOURCE_VERSION_MAX));
}

function invalid(state: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot read the resync request: ${state}`);
}
