/**
 * What a restarted agent must know of a work, as one annotation of its AppliedManifestWork.
 *
 * With it an unchanged work is neither applied nor reported again, transition times survive, and sequence
 * ids never go back even if the clock did.
 */

import { createHash } from "node:crypto";
import { canonicalJson, isObject, type JsonObject } from "../json.ts";
import type { Condition, FeedbackValue } from "../wire/work_status.ts";
import type { Slot, Work } from "./work.ts";

/** The annotation; its value is the base64 of deflated JSON. */
export const RECORD_ANNOTATION = "maestro.open-cluster-management.io/agent-record";

/** Kubernetes allows 256 KiB for all annotations of an object. */
const RECORD_BYTES_MAX = 200 * 1024;

/** A record of another layout is ignored; the work is then applied and reported anew. */
const LAYOUT = 1;

type SlotRecord = Pick<
  Slot,
  "meta" | "conditions" | "valuesHash" | "appliedHash" | "manifestHash" | "mark" | "uid"
>;

/** The part of a work that survives the agent. */
export interface WorkRecord {
  layout: number;
  uid: string;
  version: number;
  readAt?: string;
  source: string;
  dataType: string;
  specHash?: string;
  reportedHash?: string;
  reportedVersion?: number;
  /** The last sequence id that was used for it. */
  sequence?: string;
  conditions: Condition[];
  slots: SlotRecord[];
}

/** The annotation's text for a work; one that is too large loses what it says of manifests that are not complete. */
export function encodeRecord(work: Work): string {
  const record: WorkRecord = {
    layout: LAYOUT,
    uid: work.uid,
    version: work.version,
    readAt: work.readAt,
    source: work.source,
    dataType: work.dataType,
    specHash: work.specHash,
    reportedHash: work.reportedHash,
    reportedVersion: work.reportedVersion,
    sequence: work.sequence,
    conditions: work.conditions,
    slots: work.slots.map((slot) => ({
      meta: slot.meta,
      conditions: slot.conditions,
      valuesHash: slot.valuesHash,
      appliedHash: slot.appliedHash,
      manifestHash: slot.manifestHash,
      mark: slot.mark,
      uid: slot.uid,
    })),
  } as WorkRecord;
  const whole = pack(record);
  if (whole.length <= RECORD_BYTES_MAX) return whole;
  // A Job that is done and gone must not run again; all else can be found out.
  const complete = pack({ ...record, slots: record.slots.filter(isDone) });
  return complete.length <= RECORD_BYTES_MAX ? complete : pack({ ...record, slots: [] });
}

function isDone({ conditions }: SlotRecord): boolean {
  return conditions.some(({ type, status }) => type === "Complete" && status === "True");
}

function pack(record: WorkRecord): string {
  return Buffer.from(Bun.deflateSync(Buffer.from(JSON.stringify(record)))).toString("base64");
}

/** Reads an annotation; undefined if there is none that this agent understands. */
export function decodeRecord(text: unknown): WorkRecord | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const json = Buffer.from(Bun.inflateSync(Buffer.from(text, "base64"))).toString();
    const record: unknown = JSON.parse(json);
    if (!isObject(record) || record["layout"] !== LAYOUT) return undefined;
    return record as unknown as WorkRecord;
  } catch {
    // Somebody else's text: without a record the work is applied anew, which is always right.
    return undefined;
  }
}

/** The work as it was before the restart. Nothing is reported of it until its spec arrives. */
export function restoreWork(record: WorkRecord, workName: string): Work {
  const { uid, source, dataType, conditions, slots } = record;
  return {
    uid,
    name: workName,
    // The spec itself is not here: version 0 makes the server send it again.
    version: 0,
    versionFloor: record.version,
    source,
    dataType,
    metadata: { name: workName } as JsonObject,
    logTracing: "{}",
    isGone: false,
    isSettled: false,
    mustReport: false,
    ...(record.readAt === undefined ? {} : { readAt: record.readAt }),
    ...(record.specHash === undefined ? {} : { specHash: record.specHash }),
    ...(record.reportedHash === undefined ? {} : { reportedHash: record.reportedHash }),
    ...(record.reportedVersion === undefined ? {} : { reportedVersion: record.reportedVersion }),
    ...(record.sequence === undefined ? {} : { sequence: record.sequence }),
    conditions,
    slots: slots.map((slot) => ({ ...slot, values: [], isDrifted: false, isKnown: false })),
  };
}

/** A short hash of anything that is JSON. */
export function shortHash(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("base64url").slice(0, 22);
}

/** The hash by which feedback is compared, also over a restart. */
export function valuesHash(values: FeedbackValue[]): string {
  return shortHash(values);
}
