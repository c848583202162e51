/** The spec of a work: what a source wants on a cluster, and how (OCM work/v1 on the wire). */

import { isObject, type JsonObject } from "../json.ts";

export interface ResourceIdentifier {
  group: string;
  resource: string;
  name: string;
  namespace: string;
}

export interface JsonPathRule {
  name: string;
  version?: string;
  path: string;
}

export interface FeedbackRule {
  type: string;
  jsonPaths?: JsonPathRule[];
}

export interface IgnoreField {
  condition?: string;
  jsonPaths?: string[];
  jsonPointers?: string[];
  jqPathExpressions?: string[];
}

export interface UpdateStrategy {
  type?: string;
  serverSideApply?: { force?: boolean; fieldManager?: string; ignoreFields?: IgnoreField[] };
}

export interface ConditionRule {
  condition: string;
  type: string;
  celExpressions?: string[];
  message?: string;
  messageExpression?: string;
}

export interface ManifestConfig {
  /** Absent only in what came as a single manifest, which it is about then. */
  resourceIdentifier?: ResourceIdentifier;
  feedbackRules?: FeedbackRule[];
  updateStrategy?: UpdateStrategy;
  conditionRules?: ConditionRule[];
  feedbackScrapeType?: string;
}

export interface DeleteOption {
  propagationPolicy?: string;
  selectivelyOrphans?: { orphaningRules?: ResourceIdentifier[] };
  ttlSecondsAfterFinished?: number;
}

/** On the wire its key is `executer`. */
export interface Executor {
  subject?: { type?: string; serviceAccount?: { namespace: string; name: string } };
}

/** The data of a `manifestbundles` spec event. Manifests are whole Kubernetes objects. */
export interface BundleSpec {
  manifests: JsonObject[];
  deleteOption?: DeleteOption;
  manifestConfigs?: ManifestConfig[];
  executer?: Executor;
}

/** The data of a legacy `manifests` spec event: one manifest, its options without an identifier. */
export interface SingleSpec {
  manifest: JsonObject;
  deleteOption?: DeleteOption;
  configOption?: Omit<ManifestConfig, "resourceIdentifier">;
}

/**
 * The plural resource name that Kubernetes would give to a kind, by the rules of English that its
 * own generators use. A cluster may know better; sources that need another name say it.
 */
export function guessResource(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower === "endpoints") return lower;
  if (/(s|x|z|ch|sh)$/.test(lower)) return `${lower}es`;
  if (/[^aeiou]y$/.test(lower)) return `${lower.slice(0, -1)}ies`;
  return `${lower}s`;
}

/** The group of an apiVersion; the core group is empty. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

/** Lets an agent report the whole status of an object, as one value. */
export const WHOLE_STATUS: FeedbackRule[] = [
  { type: "JSONPaths", jsonPaths: [{ name: "status", path: ".status" }] },
];

/** How a manifest is named in the options that are about it; what it does not say in text is empty. */
export function identifierOf({ apiVersion, kind, metadata }: JsonObject): ResourceIdentifier {
  const { name, namespace } = isObject(metadata) ? metadata : {};
  return {
    group: groupOf(textOf(apiVersion)),
    resource: guessResource(textOf(kind)),
    name: textOf(name),
    namespace: textOf(namespace),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
