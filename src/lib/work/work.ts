/** A work as the agent holds it: hashes and statuses in memory, objects only on the cluster. */

import type { JsonObject } from "../json.ts";
import type { Condition, FeedbackValue, ResourceMeta } from "../wire/work_status.ts";
import type { Contest, DriftPolicy } from "./drift.ts";
import type { ObjectRef } from "./kube_api.ts";
import type { ManifestOptions, Ownerships } from "./options.ts";

/** Who writes the fields of applied objects, unless a work says otherwise. */
export const FIELD_OWNER = "work-agent";

/** What the agent knows of one manifest. */
export interface Slot {
  meta: ResourceMeta;
  /** Undefined while the cluster does not serve the manifest's kind. */
  ref?: ObjectRef;
  conditions: Condition[];
  values: FeedbackValue[];
  /** Of the values that were reported last; they themselves may not be known yet after a restart. */
  valuesHash?: string;
  /** Of the manifest and its options as they were applied last, undefined until that succeeds. */
  appliedHash?: string;
  /** Of the manifest alone as it was applied last, whatever failed since. */
  manifestHash?: string;
  /** Of the rules by which the object was read last in this life. */
  rulesHash?: string;
  /** Of the object as the agent left it; another mark means that somebody changed it. */
  mark?: string;
  /** The object's uid, undefined if it is not there. */
  uid?: string;
  resourceVersion?: string;
  /** The rules by which the object is read; undefined until the spec is known. */
  options?: ManifestOptions;
  isDrifted: boolean;
  /** What to do about drift, as the spec says. */
  driftPolicy?: DriftPolicy;
  /** When a change of the object brought another attempt to apply a manifest that was refused. */
  retriedAtMs?: number;
  /** How others go on changing the object. */
  contest?: Contest;
  /** The object itself was seen in this life, so its availability and feedback are true. */
  isKnown: boolean;
}

export interface Work {
  readonly uid: string;
  /** Names the AppliedManifestWork. */
  name: string;
  version: number;
  /** What an earlier life held: nothing older is taken, even before the spec has arrived again. */
  versionFloor?: number;
  /** When the server's database said what is held, if the server tells such times. */
  readAt?: string;
  /** The source that gets the status. */
  source: string;
  dataType: string;
  /** The Kubernetes metadata that the source sent, without finalizers. */
  metadata: JsonObject;
  logTracing: string;
  /** The spec as it travelled; undefined until it arrives in this life. */
  specText?: string;
  specHash?: string;
  /** Why the held version cannot be applied. */
  rejection?: string;
  /** Set once and for ever: a deletion is not taken back. */
  deletionTimestamp?: string;
  /** What is to stay after the deletion, as the newest spec says that is known of. */
  ownerships?: Ownerships | undefined;
  /** All objects are gone and only the server has yet to be told. */
  isGone: boolean;
  /** The status belongs to the held version; before that nothing is reported. */
  isSettled: boolean;
  conditions: Condition[];
  slots: Slot[];
  reportedHash?: string;
  reportedVersion?: number;
  /** The last sequence id that was used for this work. */
  sequence?: string;
  /** The server seems not to know the status, so it is sent even if it did not change. */
  mustReport: boolean;
}

/** The finalizer that a ManifestWork shows while the agent may hold objects of it. */
export const WORK_FINALIZER = "cluster.open-cluster-management.io/manifest-work-cleanup";

/** The metadata of an object, empty if it has none. */
export function metadataOf(object: JsonObject | undefined): JsonObject {
  const metadata = object?.["metadata"];
  return typeof metadata === "object" && metadata !== null ? metadata as JsonObject : {};
}

/** A member that is text, or empty. */
export function textOf(object: JsonObject, key: string): string {
  const value = object[key];
  return typeof value === "string" ? value : "";
}

/** A key for one object on a cluster, for maps. */
export function objectKey(ref: ObjectRef): string {
  return `${ref.type.group}/${ref.type.resource}/${ref.namespace}/${ref.name}`;
}

/** True if the server has said in this life what it wants of the work. */
export function hasWord({ specText, rejection, deletionTimestamp }: Work): boolean {
  return [specText, rejection, deletionTimestamp].some((word) => word !== undefined);
}
