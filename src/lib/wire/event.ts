/** A CloudEvent as every transport carries it, and the lenient reading of its attributes. */

import { MaestroError } from "../errors.ts";
import { isRfc3339 } from "./time.ts";

/** What an extension attribute may hold. Times are RFC 3339 text. */
export type ExtensionValue = string | number | boolean | Uint8Array;

/**
 * One event. `data` is the JSON text exactly as it travelled, so that no number changes;
 * it is absent on a deletion. `time` is RFC 3339 with up to nine fractional digits.
 */
export interface CloudEvent {
  id: string;
  source: string;
  type: string;
  time?: string;
  datacontenttype?: string;
  subject?: string;
  dataschema?: string;
  extensions: Record<string, ExtensionValue>;
  data?: string;
}

/** The extension attributes that Maestro reads or writes (CloudEvents names: lower case only). */
export const EXT = {
  resourceId: "resourceid",
  resourceVersion: "resourceversion",
  clusterName: "clustername",
  originalSource: "originalsource",
  deletionTimestamp: "deletiontimestamp",
  sequenceId: "sequenceid",
  statusHash: "statushash",
  metadata: "metadata",
  logTracing: "logtracing",
  /** Ours: a resync request is about ids behind this one, and up to that one. Peers ignore both. */
  resyncAfter: "resyncafter",
  resyncThrough: "resyncthrough",
  /** Ours: the version of the agent that speaks, with "simulated" if its cluster is. Peers ignore it. */
  agentVersion: "agentversion",
  /** Ours: a digest of all statuses that a source holds of an agent. Peers ignore it. */
  statusDigest: "statusdigest",
  /**
   * Ours: a digest of the versions that a source believes an agent to hold, or that an agent holds, which then leaves
   * out the list of them. Peers ignore it.
   */
  versionDigest: "versiondigest",
  /** Ours: a source wants the list of what an agent holds. */
  listWanted: "listwanted",
  /** Ours: when the server's database said what a spec event says, by that database's clock. Peers ignore it. */
  readAt: "readat",
  /** Ours: where a source that asked for it may resume its subscription. */
  cursor: "maestrocursor",
} as const;

const CORE_TEXTS = [
  ...["id", "source", "type"] as const,
  ...["time", "subject", "dataschema", "datacontenttype"] as const,
];
/** Every attribute that is no extension, and the name that JSON has for the data. */
const RESERVED = new Set<string>([...CORE_TEXTS, "specversion", "data"]);

/**
 * True for a name that an extension attribute can have (CloudEvents 1.0.2 §3.1). Decoders leave out what has another.
 */
export function isExtensionName(name: string): boolean {
  return /^[a-z0-9]+$/.test(name) && !RESERVED.has(name);
}

/** The type of a heartbeat, the one event without subresource and action. */
export const HEARTBEAT_TYPE = "io.open-cluster-management.cloudevents.heartbeat";

export const MANIFEST_BUNDLES = "io.open-cluster-management.works.v1alpha1.manifestbundles";
export const MANIFESTS = "io.open-cluster-management.works.v1alpha1.manifests";

/** True for the data types of works, those that Maestro stores and delivers. */
export function isWorkType(dataType: string): boolean {
  return dataType === MANIFEST_BUNDLES || dataType === MANIFESTS;
}

/** The integers that peers can hold: Go's int32. */
export const RESOURCE_VERSION_MAX = 2_147_483_647;

/** True for an integer that peers can hold. */
export function isInt32(value: number): boolean {
  return Number.isInteger(value) && value >= -RESOURCE_VERSION_MAX - 1 &&
    value <= RESOURCE_VERSION_MAX;
}

/** Reads a string extension. Throws if it is absent or anything but a string. */
export function stringExtension(event: CloudEvent, name: string): string {
  const value = event.extensions[name];
  if (typeof value === "string") return value;
  throw invalid(name, value === undefined ? "it is missing" : "it must be a string");
}

/** Reads a string extension that may be absent. */
export function optionalStringExtension(event: CloudEvent, name: string): string | undefined {
  return event.extensions[name] === undefined ? undefined : stringExtension(event, name);
}

/**
 * Reads an integer extension: a number, or a decimal string as MQTT carries it.
 *
 * A string may have a fraction, which is cut off, since peers read it as a float first. Throws if it is
 * absent, no number, or beyond int32.
 */
export function integerExtension(event: CloudEvent, name: string): number {
  const value = event.extensions[name];
  if (value === undefined) throw invalid(name, "it is missing");
  const isDecimal = typeof value === "string" && /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(value);
  const number = typeof value === "number" || isDecimal ? Math.trunc(Number(value)) : NaN;
  // Plus zero: "-0.5" is cut to a minus zero, which no peer knows.
  if (isInt32(number)) return number + 0;
  throw invalid(name, "it must be a 32-bit integer");
}

/** Reads a time extension that may be absent, as RFC 3339 text. Throws if it is something else. */
export function timeExtension(event: CloudEvent, name: string): string | undefined {
  const value = event.extensions[name];
  if (value === undefined) return undefined;
  if (typeof value === "string" && isRfc3339(value)) return value;
  throw invalid(name, "it must be an RFC 3339 time");
}

/**
 * What keeps a decoded event from being used, or undefined if nothing does: a missing attribute, a time that peers
 * cannot read, or U+0000, which PostgreSQL cannot keep.
 */
export function eventProblem(event: CloudEvent): string | undefined {
  for (const name of ["id", "source", "type"] as const) {
    if (event[name] === "") return `its attribute ${name} is missing`;
  }
  if (event.time !== undefined && !isRfc3339(event.time)) {
    return "its attribute time is no RFC 3339 time";
  }
  for (const name of CORE_TEXTS) {
    if (event[name]?.includes("\0")) return `its attribute ${name} contains U+0000`;
  }
  for (const name of Object.keys(event.extensions)) {
    const value = event.extensions[name];
    if (typeof value === "string" && value.includes("\0")) {
      return `its attribute ${name} contains U+0000`;
    }
  }
  return undefined;
}

function invalid(name: string, state: string): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `failed to get ${name} extension: ${state}`,
  );
}
