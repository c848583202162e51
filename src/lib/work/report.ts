/** Writes a work's status as the event that tells the server. */

import { isObject, type JsonObject } from "../json.ts";
import { type CloudEvent, EXT, MANIFESTS } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import { sequenceTimeMs } from "../wire/sequence.ts";
import { formatTime } from "../wire/time.ts";
import type { BundleStatus, Condition, ManifestCondition } from "../wire/work_status.ts";
import { conditionTime } from "./conditions.ts";
import { type Slot, type Work, WORK_FINALIZER } from "./work.ts";

const DATA_TYPE_ANNOTATION = "cloudevents.open-cluster-management.io/datatype";
/** The label that says of which source a work is. */
export const SOURCE_LABEL = "cloudevents.open-cluster-management.io/originalsource";

/** The labels of a work as peers show them: the source's own, and which source it is. */
export function labelsOf({ metadata, source }: Work): JsonObject {
  const labels = isObject(metadata["labels"]) ? metadata["labels"] : {};
  return { ...labels, [SOURCE_LABEL]: source };
}

/** The status of a work as it stands. One that is gone says so, after all that was known of it. */
export function presentStatus(work: Work, consumerName: string, nowMs: number): BundleStatus {
  const conditions = [...work.conditions];
  if (work.isGone) {
    conditions.push({
      type: "Deleted",
      status: "True",
      lastTransitionTime: conditionTime(nowMs),
      reason: "ManifestsDeleted",
      message: `The manifests are deleted from the cluster ${consumerName}`,
    });
  }
  // After a restart that ended in a deletion the objects were never seen again: say nothing of them.
  const isKnown = work.slots.every((slot) => slot.isKnown);
  if (!isKnown || work.slots.length === 0) return { conditions };
  return { conditions, resourceStatus: work.slots.map(presentSlot) };
}

function presentSlot({ meta, values, conditions }: Slot): ManifestCondition {
  const { ordinal, group, version, kind, resource, name, namespace } = meta;
  return {
    resourceMeta: { ordinal, group, version, kind, resource, name, namespace },
    statusFeedback: values.length > 0 ? { values } : {},
    conditions,
  };
}

/**
 * What to report instead of a status that is too large for the way to the server, the fullest first: without the
 * values of feedback, then without single manifests. Each says why.
 */
export function shorterStatuses(
  { conditions, resourceStatus }: BundleStatus,
  { reason, nowMs }: { reason: string; nowMs: number },
): BundleStatus[] {
  const missing: Condition = {
    type: "StatusFeedbackSynced",
    status: "False",
    lastTransitionTime: conditionTime(nowMs),
    reason: "ReportTooLarge",
    message: `Reported without feedback. ${reason}`,
  };
  const withMissing = (given: Condition[] | null) => [
    ...(given ?? []).filter(({ type }) => type !== missing.type),
    missing,
  ];
  const bare = { conditions: withMissing(conditions) };
  if (resourceStatus === undefined) return [bare];
  const manifests = resourceStatus.map((manifest) => ({
    ...manifest,
    statusFeedback: {},
    conditions: withMissing(manifest.conditions),
  }));
  return [{ conditions, resourceStatus: manifests }, bare];
}

/** Who reports. */
export interface Reporter {
  agentId: string;
  consumerName: string;
  /** The agent's version, with "simulated" if its cluster is. Peers ignore it. */
  agentVersion: string;
}

/** The event for a status. `sequence` is newer than all before it, `hash` is of what is known, reported or not. */
export function encodeReport(
  work: Work,
  status: BundleStatus,
  { agentId, consumerName, agentVersion }: Reporter,
  { sequence, hash, isAnswer }: { sequence: string; hash: string; isAnswer: boolean },
): CloudEvent {
  const isLegacy = work.dataType === MANIFESTS;
  const { conditions, resourceStatus } = status;
  const body = isLegacy
    ? { conditions, ...(resourceStatus?.[0] ? { status: resourceStatus[0] } : {}) }
    : status;
  return {
    id: crypto.randomUUID(),
    source: agentId,
    type: formatEventType({
      dataType: work.dataType,
      subresource: "status",
      action: isAnswer ? ACTION.resyncResponse : ACTION.update,
    }),
    time: formatTime(sequenceTimeMs(sequence)),
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: work.uid,
      [EXT.resourceVersion]: work.version,
      [EXT.clusterName]: consumerName,
      [EXT.originalSource]: work.source,
      [EXT.sequenceId]: sequence,
      [EXT.agentVersion]: agentVersion,
      ...(isLegacy ? {} : {
        [EXT.statusHash]: hash,
        [EXT.metadata]: JSON.stringify(metadataOfReport(work, consumerName)),
        [EXT.logTracing]: work.logTracing,
      }),
    },
    data: JSON.stringify(body),
  };
}

/** The metadata of the ManifestWork that peers' agents hold, in the order in which Go writes it. */
function metadataOfReport(work: Work, consumerName: string): JsonObject {
  const { metadata, uid, version, deletionTimestamp } = work;
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  const { creationTimestamp } = metadata;
  return {
    name: work.name,
    namespace: consumerName,
    uid,
    ...(version > 0 ? { generation: version } : {}),
    ...(creationTimestamp ? { creationTimestamp } : {}),
    ...(deletionTimestamp ? { deletionTimestamp: wholeSeconds(deletionTimestamp) } : {}),
    labels: labelsOf(work),
    annotations: { ...annotations, [DATA_TYPE_ANNOTATION]: work.dataType },
    ...(work.isGone ? {} : { finalizers: [WORK_FINALIZER] }),
  };
}

function wholeSeconds(time: string): string {
  return conditionTime(Date.parse(time));
}
