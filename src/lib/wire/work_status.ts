/** The status of a work: conditions, and what became of each manifest (OCM work/v1). */

import { ANY, FLAG, list, NUMBER, object, parseMembers, TEXT } from "./members.ts";

/** A Kubernetes condition. Times have second precision. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  observedGeneration?: number;
  lastTransitionTime: string | null;
  reason: string;
  message: string;
}

export interface ResourceMeta {
  ordinal: number;
  group: string;
  version: string;
  kind: string;
  resource: string;
  name: string;
  namespace: string;
}

/** Exactly one of the four values is set, the one that `type` names. Integers are JSON numbers of any size. */
export interface FieldValue {
  type: "Integer" | "String" | "Boolean" | "JsonRaw";
  integer?: unknown;
  string?: string;
  boolean?: boolean;
  jsonRaw?: string;
}

export interface FeedbackValue {
  name: string;
  fieldValue: FieldValue;
}

export interface ManifestCondition {
  resourceMeta: ResourceMeta;
  statusFeedback: { values?: FeedbackValue[] };
  conditions: Condition[] | null;
}

/** The status of a work, as the data of a `manifestbundles` status event has it. */
export interface BundleStatus {
  conditions: Condition[] | null;
  resourceStatus?: ManifestCondition[];
}

const CONDITIONS = list({
  ...{ type: TEXT, status: TEXT, observedGeneration: ANY },
  ...{ lastTransitionTime: TEXT, reason: TEXT, message: TEXT },
});

const MANIFEST_CONDITION = {
  resourceMeta: object({
    ...{ ordinal: NUMBER, group: TEXT, version: TEXT, kind: TEXT },
    ...{ resource: TEXT, name: TEXT, namespace: TEXT },
  }),
  statusFeedback: object({
    values: list({
      name: TEXT,
      fieldValue: object({
        ...{ type: TEXT, integer: NUMBER, string: TEXT, boolean: FLAG, jsonRaw: TEXT },
      }),
    }),
  }),
  conditions: CONDITIONS,
};

const STATUS = object({
  conditions: CONDITIONS,
  resourceStatus: list(MANIFEST_CONDITION),
  status: object(MANIFEST_CONDITION),
});

/**
 * Parses the data of a status event of either data type: that of a single manifest becomes a list of one.
 *
 * Nothing but the types of members is checked, so any of them may be missing. Throws `invalid_argument` with the
 * member's path.
 */
export function parseStatus(text: string): BundleStatus {
  const document = parseMembers(text, "the status", STATUS);
  const { conditions = null, resourceStatus, status } = document as unknown as
    & Partial<BundleStatus>
    & { status?: ManifestCondition };
  const manifests = resourceStatus ?? (status ? [status] : undefined);
  return { conditions, ...(manifests ? { resourceStatus: manifests } : {}) };
}

/** True if the agent says that everything of this resource is gone from its cluster. */
export function isDeleted(status: { conditions?: Condition[] | null }): boolean {
  return status.conditions?.some(({ type, status }) => type === "Deleted" && status === "True") ??
    false;
}

/** True if the rules of the work say that in this version everything is done. */
export function isFinished(
  status: { conditions?: Condition[] | null },
  version: number,
): boolean {
  const found = status.conditions?.find(({ type }) => type === "Complete");
  return found?.status === "True" && found.observedGeneration === version;
}

/** The version whose manifests were applied, which may be older than the one the agent holds. */
export function appliedVersion(status: { conditions?: Condition[] | null }): number | undefined {
  return status.conditions?.find(({ type }) => type === "Applied")?.observedGeneration;
}
