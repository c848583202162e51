/** The bodies of resync requests: what the asking side holds. */

import { MaestroError } from "../errors.ts";
import { rawNumber } from "../json.ts";
import { RESOURCE_VERSION_MAX } from "./event.ts";
import { type Kind, list, NUMBER, object, parseMembers, TEXT } from "./members.ts";

/** One resource as the agent holds it. */
export interface HeldVersion {
  resourceId: string;
  version: number;
}

/** One status as the source holds it. */
export interface HeldStatus {
  resourceId: string;
  hash: string;
}

/** The body of a spec resync request (agent → source). */
export function encodeSpecResync(held: HeldVersion[]): string {
  return JSON.stringify({
    resourceVersions: held.map(({ resourceId, version }) => ({
      resourceID: resourceId,
      resourceVersion: version,
    })),
  });
}

/** Reads the body of a spec resync request. An absent body is an error, an absent list is empty. */
export function decodeSpecResync(data: string | undefined): HeldVersion[] {
  return entries(data, "resourceVersions", VERSIONS).map(({ resourceID, resourceVersion }) => ({
    resourceId: idOf(resourceID, "resourceVersions"),
    version: wholeNumber(resourceVersion),
  }));
}

/** The body of a status resync request (source → agent). */
export function encodeStatusResync(held: HeldStatus[]): string {
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

const VERSIONS = object({ resourceVersions: list({ resourceID: TEXT, resourceVersion: NUMBER }) });
const HASHES = object({ statusHashes: list({ resourceID: TEXT, statusHash: TEXT }) });

interface Entry {
  resourceID?: string;
  resourceVersion?: unknown;
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
