/** The bodies of resync requests: what the asking side holds. */

import { MaestroError } from "../errors.ts";
import { isObject, parseJsonObject } from "../json.ts";

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
  return entries(data, "resourceVersions").map(({ resourceID, resourceVersion }) => {
    const version = Number(resourceVersion ?? 0);
    if (typeof resourceID !== "string" || !Number.isSafeInteger(version)) {
      throw invalid("resourceVersions");
    }
    return { resourceId: resourceID, version };
  });
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
  return entries(data, "statusHashes").map(({ resourceID, statusHash }) => {
    if (typeof resourceID !== "string" || typeof statusHash !== "string") {
      throw invalid("statusHashes");
    }
    return { resourceId: resourceID, hash: statusHash };
  });
}

function entries(data: string | undefined, key: string): Record<string, unknown>[] {
  if (data === undefined || data === "") {
    throw new MaestroError("invalid_argument", "Cannot read the resync request: it has no data");
  }
  const list = parseJsonObject(data, "the resync request")[key] ?? [];
  if (!Array.isArray(list) || !list.every(isObject)) throw invalid(key);
  return list;
}

function invalid(key: string): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `Cannot read the resync request: ${key} must be a list of resource ids with their state`,
  );
}
