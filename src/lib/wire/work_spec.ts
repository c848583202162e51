/** The spec of a work: what a source wants on a cluster, and how (OCM work/v1 on the wire). */

import { MaestroError } from "../errors.ts";
import { isObject, type JsonObject, parseJsonObject } from "../json.ts";

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
  resourceIdentifier: ResourceIdentifier;
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

/** The key `executer` is spelt so on the wire. */
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
  configOption?: Pick<ManifestConfig, "feedbackRules" | "updateStrategy">;
}

/**
 * Parses the data of a `manifestbundles` spec event.
 *
 * Checks the shape only: that manifests is a list of objects and that the options have the types that
 * are read later. Throws `invalid_argument` with the member's path.
 */
export function parseBundleSpec(text: string): BundleSpec {
  const document = parseJsonObject(text, "the manifest bundle");
  const { manifests } = document;
  if (manifests !== undefined && manifests !== null && !Array.isArray(manifests)) {
    throw invalid("manifests", "a list of Kubernetes objects");
  }
  const list: unknown[] = manifests ?? [];
  list.forEach((manifest, index) => {
    if (!isObject(manifest)) throw invalid(`manifests[${index}]`, "a Kubernetes object");
  });
  optional(document, "deleteOption", "", isObject, "an object");
  optional(document, "executer", "", isObject, "an object");
  optional(document, "manifestConfigs", "", Array.isArray, "a list");
  const configs = (document["manifestConfigs"] ?? []) as unknown[];
  configs.forEach((config, index) => checkConfig(config, `manifestConfigs[${index}]`));
  return { ...document, manifests: list as JsonObject[] };
}

function checkConfig(config: unknown, path: string): void {
  if (!isObject(config)) throw invalid(path, "an object");
  const { resourceIdentifier } = config;
  if (!isObject(resourceIdentifier)) throw invalid(`${path}.resourceIdentifier`, "an object");
  for (const key of ["group", "resource", "name", "namespace"]) {
    optional(resourceIdentifier, key, `${path}.resourceIdentifier.`, isString, "a string");
  }
  optional(config, "feedbackRules", `${path}.`, isListOfObjects, "a list of objects");
  optional(config, "conditionRules", `${path}.`, isListOfObjects, "a list of objects");
  optional(config, "updateStrategy", `${path}.`, isObject, "an object");
}

function optional(
  object: JsonObject,
  key: string,
  prefix: string,
  is: (value: unknown) => boolean,
  expected: string,
): void {
  const value = object[key];
  if (value !== undefined && value !== null && !is(value)) throw invalid(prefix + key, expected);
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isListOfObjects(value: unknown): boolean {
  return Array.isArray(value) && value.every(isObject);
}

function invalid(path: string, expected: string): MaestroError {
  return new MaestroError("invalid_argument", `Cannot read ${path}: it must be ${expected}`);
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
