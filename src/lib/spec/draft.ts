/** A resource as somebody wants it: what it must be, and how it is stored. */

import { MaestroError } from "../errors.ts";
import { canonicalJson, isObject, type JsonObject, parseJson } from "../json.ts";
import { MANIFEST_BUNDLES, MANIFESTS } from "../wire/event.ts";
import { parseSpec, toSingleSpec } from "../wire/read_spec.ts";
import type { BundleSpec } from "../wire/work_spec.ts";
import { checkId } from "./change.ts";
import type { ResourceRow } from "./door.ts";
import { VOLATILE_METADATA } from "./spec_hash.ts";
import { bundleErrors, bundleMetadataErrors, refuse, validateResourceName } from "./validate.ts";

/** A resource that somebody wants. */
export interface ResourceDraft {
  /** Unique among all resources; the id if none is given. */
  name?: string;
  consumerName: string;
  spec: BundleSpec;
  /** That of the ManifestWork; by its labels the resource is searched. */
  metadata?: JsonObject;
}

/** A draft as it is stored. */
export interface StoredDraft {
  spec: string;
  metadata: string | undefined;
}

/** The draft that a stored resource came from. */
export function draftOf(row: ResourceRow): ResourceDraft {
  const metadata = parseJson(row.metadata ?? "null");
  return {
    name: row.name,
    consumerName: row.consumer_name,
    spec: parseSpec(row.data_type, row.spec),
    ...(isObject(metadata) && { metadata }),
  };
}

/**
 * Writes a draft as it is stored, with sorted keys. Throws `invalid_argument` that names what is wrong.
 *
 * With the row that it replaces, what is the same stays as it was written, so that who sends back what was read changes
 * nothing.
 */
export function encodeDraft(draft: ResourceDraft, row?: ResourceRow): StoredDraft {
  // It goes on travelling as it came: its agent may know no other data type.
  const dataType = row?.data_type ?? MANIFEST_BUNDLES;
  const isSingle = dataType === MANIFESTS;
  const text = canonicalJson(isSingle ? toSingleSpec(draft.spec) : draft.spec);
  // The shape first: the rest relies on it.
  const spec = parseShape(dataType, text);
  refuse(`the ${row ? "new " : ""}manifest bundle in the resource`, bundleErrors(spec));
  const metadata = stableMetadata(draft.metadata);
  const stored = row && draftOf(row);
  const hasSameMetadata = stored && same(stableMetadata(stored.metadata), metadata);
  if (!hasSameMetadata) {
    refuse("the metadata of the resource", bundleMetadataErrors(metadata ?? {}));
  }
  if (row === undefined || stored === undefined) {
    return { spec: text, metadata: metadata && canonicalJson(metadata) };
  }
  const hasSameSpec = canonicalJson(stored.spec) === canonicalJson(spec);
  return {
    spec: hasSameSpec ? row.spec : text,
    metadata: hasSameMetadata ? row.metadata ?? undefined : metadata && canonicalJson(metadata),
  };
}

/** How members are called by those who write drafts. */
const SPELLING: Record<string, string> = {
  manifestConfigs: "manifest_configs",
  deleteOption: "delete_option",
  executer: "executor",
};

function parseShape(dataType: string, text: string): BundleSpec {
  try {
    return parseSpec(dataType, text);
  } catch (error) {
    if (!(error instanceof MaestroError)) throw error;
    const reason = error.message.replace(
      /^Cannot read the manifest bundle: (\w+)/,
      (_, member: string) => SPELLING[member] ?? member,
    );
    throw new MaestroError(error.code, reason, { cause: error });
  }
}

/** Throws `invalid_argument` if the id or the name that somebody chose cannot be used. */
export function checkNames(id: string, name: string | undefined): void {
  checkId(id);
  if (name !== undefined && name !== id) validateResourceName(name);
}

// What Kubernetes fills in is shown, and comes back from those who edit what they have read.
function stableMetadata(metadata: JsonObject | undefined): JsonObject | undefined {
  const members = Object.entries(metadata ?? {})
    .filter(([key, value]) => !VOLATILE_METADATA.includes(key) && value !== null);
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

function same(one: JsonObject | undefined, other: JsonObject | undefined): boolean {
  return canonicalJson(one ?? {}) === canonicalJson(other ?? {});
}
