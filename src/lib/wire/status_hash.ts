/** The hash by which both sides of a status resync see whether they know the same. */

import { createHash } from "node:crypto";
import { canonicalJson, escapeLikeGo, type JsonObject } from "../json.ts";
import type { BundleStatus, Condition, FeedbackValue, ManifestCondition } from "./work_status.ts";

/** What a source announces for a resource that has no status: SHA-256 of nothing. */
export const NO_STATUS_HASH = createHash("sha256").digest("hex");

/**
 * The hash of a status as agents have computed it since 2025-03: lower-case hex SHA-256 of the
 * ManifestWork's status, keys sorted, escaped like Go. Receivers treat it as opaque.
 */
export function statusHash(status: BundleStatus): string {
  return hash(canonicalJson(workStatus(status)));
}

/**
 * The hash as agents computed it before, and for `manifests` always: the same with the keys in the order in which Go
 * declares them. It stands in for one that an event does not carry.
 */
export function legacyStatusHash(status: BundleStatus): string {
  return hash(JSON.stringify(workStatus(status)));
}

function hash(json: string): string {
  return createHash("sha256").update(escapeLikeGo(json)).digest("hex");
}

/** What Go writes of a ManifestWork's status, in Go's order; what it does not know is not in it. */
function workStatus({ conditions, resourceStatus }: BundleStatus): JsonObject {
  return {
    ...(conditions && conditions.length > 0 ? { conditions: conditions.map(condition) } : {}),
    resourceStatus: resourceStatus && resourceStatus.length > 0
      ? { manifests: resourceStatus.map(manifestCondition) }
      : {},
  };
}

function condition(given: Condition): JsonObject {
  const { type = "", status = "", observedGeneration, lastTransitionTime = null } = given;
  const { reason = "", message = "" } = given;
  return {
    ...{ type, status },
    ...(observedGeneration ? { observedGeneration } : {}),
    ...{ lastTransitionTime, reason, message },
  };
}

function manifestCondition(given: Partial<ManifestCondition>): JsonObject {
  const { resourceMeta: meta, statusFeedback, conditions } = given;
  const values = statusFeedback?.values ?? [];
  return {
    resourceMeta: {
      ordinal: meta?.ordinal ?? 0,
      group: meta?.group ?? "",
      version: meta?.version ?? "",
      kind: meta?.kind ?? "",
      resource: meta?.resource ?? "",
      name: meta?.name ?? "",
      namespace: meta?.namespace ?? "",
    },
    statusFeedback: values.length > 0 ? { values: values.map(feedbackValue) } : {},
    conditions: conditions?.map(condition) ?? null,
  };
}

function feedbackValue({ name = "", fieldValue }: Partial<FeedbackValue>): JsonObject {
  const { type = "", integer, string, boolean, jsonRaw } = fieldValue ?? {};
  return { name, fieldValue: { type, integer, string, boolean, jsonRaw } };
}

/** The digest of many statuses: what two sides have in common if it is the same. Ids are ASCII. */
export function statusDigest(held: readonly { resourceId: string; hash: string }[]): string {
  return digestOf(held.map(({ resourceId, hash }) => `${resourceId} ${hash}`));
}

/** The digest of many versions, in the same way. */
export function versionDigest(held: readonly { resourceId: string; version: number }[]): string {
  return digestOf(held.map(({ resourceId, version }) => `${resourceId} ${version}`));
}

function digestOf(lines: string[]): string {
  return createHash("sha256").update(lines.sort().join("\n")).digest("hex");
}
