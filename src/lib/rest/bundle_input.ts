/** What clients send to create or change a bundle, and what becomes of it. */

import { isObject, type JsonObject } from "../json.ts";
import type { ResourceRow } from "../spec/door.ts";
import type { ResourceDraft } from "../spec/draft.ts";
import { identifierOf, WHOLE_STATUS } from "../wire/work_spec.ts";
import { invalid } from "./body.ts";
import { BundleInput as BundleInputSchema, BundleMergePatch, READ_ONLY } from "./schemas/bundle.ts";
import { validate } from "./validate.ts";

/** A bundle that a client wants. */
export interface BundleInput {
  id: string | undefined;
  /** The version that the client has seen; of a new bundle the one to begin with. */
  version: number | undefined;
  draft: ResourceDraft;
}

/** Members of a merge patch that change nothing. */
const UNCHANGED = new Set<string>([...READ_ONLY, "id", "version"]);

/** Parses a bundle. Throws `invalid_argument` with the member and what it must be. */
export function parseBundle(body: JsonObject): BundleInput {
  const bundle = validate(BundleInputSchema, body);
  const { name, metadata, manifest_configs, delete_option, executor } = bundle;
  return {
    id: bundle.id,
    version: bundle.version || undefined,
    draft: {
      ...(name !== undefined && { name }),
      consumerName: bundle.consumer_name,
      spec: {
        manifests: bundle.manifests,
        ...(manifest_configs && manifest_configs.length > 0 &&
          { manifestConfigs: manifest_configs }),
        ...(delete_option && Object.keys(delete_option).length > 0 &&
          { deleteOption: delete_option }),
        ...(executor && { executer: executor }),
      },
      ...(metadata !== undefined && { metadata }),
    },
  };
}

/** Parses the members of a merge patch that say what it is about, and returns those that it changes. */
export function parseBundlePatch(
  body: JsonObject,
): { id: string | undefined; version: number | undefined; changes: JsonObject } {
  const { id, version } = validate(BundleMergePatch, body);
  const changes = Object.entries(body).filter(([key]) => !UNCHANGED.has(key));
  return { id, version: version || undefined, changes: Object.fromEntries(changes) };
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
      feedbackRules: WHOLE_STATUS,
    })),
  };
}
