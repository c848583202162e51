/** The status of a work: conditions, and what became of each manifest (OCM work/v1). */

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

/** The data of a `manifestbundles` status event. */
export interface BundleStatus {
  conditions: Condition[] | null;
  resourceStatus?: ManifestCondition[];
}

/** True if the agent says that everything of this resource is gone from its cluster. */
export function isDeleted(status: { conditions?: Condition[] | null }): boolean {
  return status.conditions?.some(({ type, status }) => type === "Deleted" && status === "True") ??
    false;
}

/** The version whose manifests were applied, which may be older than the one the agent holds. */
export function appliedVersion(status: { conditions?: Condition[] | null }): number | undefined {
  return status.conditions?.find(({ type }) => type === "Applied")?.observedGeneration;
}
