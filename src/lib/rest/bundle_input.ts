/** What clients send to create or change a bundle, and what becomes of it. */

import { isObject, type JsonObject } from "../json.ts";
import type { ResourceRow } from "../spec/door.ts";
import type { ResourceDraft } from "../spec/draft.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";
import { type BundleSpec, identifierOf, type ManifestConfig } from "../wire/work_spec.ts";
import { integerMember, invalid, objectMember, refuseUnknown, textMember } from "./body.ts";

/** A bundle that a client wants. */
export interface BundleInput {
  id: string | undefined;
  /** The version that the client has seen; of a new bundle the one to begin with. */
  version: number | undefined;
  draft: ResourceDraft;
}

const SPEC = ["manifests", "manifest_configs", "delete_option", "executor"];
const WRITABLE = ["id", "name", "consumer_name", "version", "metadata", ...SPEC];
/** Ours to set. They are tolerated, so that what was read can be edited and sent back. */
const READ_ONLY = [
  ...["kind", "href", "created_at", "updated_at", "deleted_at", "status", "delivery"],
];
const KNOWN = [...WRITABLE, ...READ_ONLY];

/** Where the agent looks for what is shown as a manifest's status. */
const FEEDBACK_RULES = [{ type: "JSONPaths", jsonPaths: [{ name: "status", path: ".status" }] }];

/** Parses a bundle. Throws `invalid_argument` with the member and what it must be. */
export function parseBundle(body: JsonObject): BundleInput {
  refuseUnknown(body, KNOWN);
  const consumerName = textMember(body, "consumer_name");
  if (consumerName === undefined) throw invalid("consumer_name is required");
  const name = textMember(body, "name");
  const metadata = objectMember(body, "metadata");
  return {
    id: textMember(body, "id"),
    version: parseVersion(body),
    draft: {
      ...(name !== undefined && { name }),
      consumerName,
      spec: parseSpecMembers(body),
      ...(metadata !== undefined && { metadata }),
    },
  };
}

/** Parses the members of a merge patch that say what it is about, and returns those that it changes. */
export function parseBundlePatch(
  body: JsonObject,
): { id: string | undefined; version: number | undefined; changes: JsonObject } {
  refuseUnknown(body, KNOWN);
  const changes = Object.entries(body)
    .filter(([key]) => ![...READ_ONLY, "id", "version"].includes(key));
  return {
    id: textMember(body, "id"),
    version: parseVersion(body),
    changes: Object.fromEntries(changes),
  };
}

/** A stored bundle as a client would send it. */
export function bundleDocument(draft: ResourceDraft, row: ResourceRow): JsonObject {
  const { manifests, manifestConfigs, deleteOption, executer } = draft.spec;
  return {
    id: row.id,
    version: row.version,
    name: row.name,
    consumer_name: draft.consumerName,
    metadata: draft.metadata ?? {},
    manifests,
    manifest_configs: manifestConfigs ?? [],
    delete_option: deleteOption ?? {},
    ...(executer && { executor: executer }),
  };
}

/** The draft that a changed document asks for. What says which bundle it is must not have changed. */
export function parseChanged(document: JsonObject, row: ResourceRow): ResourceDraft {
  const { id, version, draft } = parseBundle(document);
  if (id !== undefined && id !== row.id) throw invalid("id: field is immutable");
  if (version !== undefined && version !== row.version) {
    throw invalid("version: field is immutable");
  }
  return draft;
}

/** True for a Kubernetes object, which a bundle never looks like. */
export function isManifest(document: unknown): boolean {
  return isObject(document) && typeof document["apiVersion"] === "string" &&
    !("manifests" in document);
}

/** Wraps manifests, as kubectl takes them, into a bundle that reports their statuses. */
export function wrapManifests(
  documents: readonly unknown[],
  { id, name, consumerName }: { id?: string; name?: string; consumerName: string },
): JsonObject {
  const manifests = documents.flatMap((document) => {
    // `kubectl get -o yaml` writes several objects as one list.
    if (isObject(document) && document["kind"] === "List" && Array.isArray(document["items"])) {
      return document["items"] as unknown[];
    }
    return [document];
  });
  return {
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    consumer_name: consumerName,
    manifests,
    manifest_configs: manifests.filter(isManifest).map((manifest) => ({
      resourceIdentifier: identifierOf(manifest as JsonObject),
      feedbackRules: FEEDBACK_RULES,
    })),
  };
}

function parseVersion(body: JsonObject): number | undefined {
  return integerMember(body, "version", { min: 0, max: RESOURCE_VERSION_MAX }) || undefined;
}

function parseSpecMembers(body: JsonObject): BundleSpec {
  const manifests = objects(body, "manifests");
  if (manifests === undefined) throw invalid("manifests is required");
  const configs = objects(body, "manifest_configs") ?? [];
  configs.forEach((config, index) => {
    if (isObject(config["resourceIdentifier"])) return;
    throw invalid(`manifest_configs[${index}].resourceIdentifier must be an object`);
  });
  const deleteOption = objectMember(body, "delete_option");
  const executer = objectMember(body, "executor");
  return {
    manifests,
    ...(configs.length > 0 && { manifestConfigs: configs as ManifestConfig[] }),
    ...(deleteOption && Object.keys(deleteOption).length > 0 && { deleteOption }),
    ...(executer && { executer }),
  };
}

function objects(body: JsonObject, path: string): JsonObject[] | undefined {
  const value = body[path] ?? undefined;
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw invalid(`${path} must be a list`);
  value.forEach((item: unknown, index) => {
    if (!isObject(item)) throw invalid(`${path}[${index}] must be an object`);
  });
  return value as JsonObject[];
}
