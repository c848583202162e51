/** What clients send to create or change a resource of one manifest, and the bundle it becomes. */

import type { JsonObject } from "../json.ts";
import {
  immutabilityErrors,
  refuse,
  validateManifest,
  validateResourceName,
} from "../spec/validate.ts";
import { RESOURCE_VERSION_MAX } from "../wire/event.ts";
import {
  type BundleSpec,
  type DeleteOption,
  identifierOf,
  type ResourceIdentifier,
  type UpdateStrategy,
} from "../wire/work_spec.ts";
import { integerMember, invalid, objectMember, refuseUnknown, textMember } from "./body.ts";

/** A resource to create. */
export interface ResourceInput {
  name: string | undefined;
  consumerName: string;
  version: number;
  spec: BundleSpec;
}

interface Options {
  deleteOption: DeleteOption | undefined;
  updateStrategy: UpdateStrategy | undefined;
}

const WRITABLE = [
  ...["consumer_name", "manifest", "version", "name"],
  ...["group_resource", "delete_option", "update_strategy"],
];
/** Ours to set. They are tolerated, so that what was read can be edited and sent back. */
const READ_ONLY = [
  ...["id", "kind", "href", "created_at", "updated_at", "deleted_at", "status", "delivery"],
];
const KNOWN = [...WRITABLE, ...READ_ONLY];

/** Where the agent looks for what becomes `ContentStatus`. */
const FEEDBACK_RULES = [{ type: "JSONPaths", jsonPaths: [{ name: "status", path: ".status" }] }];

/** Parses the body of a POST. Throws `invalid_argument` with the member and what it must be. */
export function parseResourceInput(body: JsonObject): ResourceInput {
  if (textMember(body, "id") !== undefined) throw invalid("id must be empty");
  refuseUnknown(body, KNOWN);
  const consumerName = textMember(body, "consumer_name");
  if (consumerName === undefined) throw invalid("consumer_name is required");
  const version = integerMember(body, "version", { min: 0, max: RESOURCE_VERSION_MAX });
  const { deleteOption, updateStrategy } = parseOptions(body);
  if (
    updateStrategy?.type === "ReadOnly" && deleteOption &&
    deleteOption.propagationPolicy !== "Orphan"
  ) {
    throw invalid("update strategy ReadOnly is only allowed with delete option Orphan");
  }
  const name = textMember(body, "name");
  if (name !== undefined) validateResourceName(name);
  const manifest = objectMember(body, "manifest") ?? {};
  refuse("the manifest in the resource", validateManifest(manifest));
  const spec = withOptions({
    manifests: [manifest],
    manifestConfigs: [{
      resourceIdentifier: identify(manifest, parseGroupResource(body)),
      feedbackRules: FEEDBACK_RULES,
    }],
  }, { deleteOption, updateStrategy });
  return { name, consumerName, version: version || 1, spec };
}

/** The parts of a stored resource that a PATCH must not change. */
export interface StoredResource {
  id: string;
  name: string;
  consumerName: string;
  version: number;
  spec: BundleSpec;
}

/** The version that the body of a PATCH replaces; `If-Match` may say it in its place. */
export function parsePatchVersion(
  body: JsonObject,
  { isTagged }: { isTagged: boolean },
): number | undefined {
  const version = integerMember(body, "version", { min: 1, max: RESOURCE_VERSION_MAX });
  if (version === undefined && !isTagged) throw invalid("version is required");
  return version;
}

/** Parses the body of a PATCH. The manifest is replaced; options that are not given stay. */
export function parseResourcePatch(body: JsonObject, stored: StoredResource): BundleSpec {
  refuseUnknown(body, KNOWN);
  const fixed = { id: stored.id, name: stored.name, consumer_name: stored.consumerName };
  for (const [key, value] of Object.entries(fixed)) {
    if ((textMember(body, key) ?? value) !== value) throw invalid(`${key}: field is immutable`);
  }
  const options = parseOptions(body);
  const manifest = objectMember(body, "manifest") ?? {};
  const current = stored.spec.manifests[0] ?? {};
  const noun = "the new manifest in the resource";
  refuse(noun, validateManifest(manifest));
  refuse(noun, immutabilityErrors(manifest, current));
  checkGroupResource(
    parseGroupResource(body),
    stored.spec.manifestConfigs?.[0]?.resourceIdentifier,
  );
  const config = stored.spec.manifestConfigs?.[0];
  return withOptions({ ...stored.spec, manifests: [manifest] }, {
    deleteOption: options.deleteOption ?? stored.spec.deleteOption,
    updateStrategy: options.updateStrategy ?? config?.updateStrategy,
  });
}

function parseOptions(body: JsonObject): Options {
  const deleteOption = objectMember(body, "delete_option");
  if (deleteOption) option("invalid delete option", deleteOption, "propagationPolicy");
  const updateStrategy = objectMember(body, "update_strategy");
  if (updateStrategy) option("invalid update strategy", updateStrategy, "type");
  return { deleteOption, updateStrategy };
}

function option(reason: string, options: JsonObject, key: string): void {
  const value = options[key];
  if (value === undefined || value === null || typeof value === "string") return;
  throw invalid(`${reason}: ${key} must be a string`);
}

// An agent must not delete what it may only read.
function withOptions(spec: BundleSpec, { deleteOption, updateStrategy }: Options): BundleSpec {
  const type = updateStrategy?.type || "ServerSideApply";
  const propagationPolicy = type === "ReadOnly"
    ? "Orphan"
    : deleteOption?.propagationPolicy || "Foreground";
  const [config, ...others] = spec.manifestConfigs ?? [];
  return {
    ...spec,
    deleteOption: { ...deleteOption, propagationPolicy },
    ...(config && {
      manifestConfigs: [{ ...config, updateStrategy: { ...updateStrategy, type } }, ...others],
    }),
  };
}

interface GroupResource {
  group: string | undefined;
  resource: string | undefined;
}

function parseGroupResource(body: JsonObject): GroupResource | undefined {
  const given = objectMember(body, "group_resource");
  if (given === undefined) return undefined;
  const unknown = Object.keys(given).find((key) => key !== "group" && key !== "resource");
  if (unknown !== undefined) {
    throw invalid(`unknown field ${JSON.stringify(unknown.slice(0, 100))} in group_resource`);
  }
  return {
    group: textMember(given, "group_resource.group"),
    resource: textMember(given, "group_resource.resource"),
  };
}

// The agent finds a manifest's options by group and resource: a wrong group would lose them.
function identify(manifest: JsonObject, given: GroupResource | undefined): ResourceIdentifier {
  const identifier = identifierOf(manifest);
  const { group } = identifier;
  if (given?.group !== undefined && given.group !== group) {
    throw invalid(`group_resource.group must be ${JSON.stringify(group)}, as in the manifest`);
  }
  return { ...identifier, resource: given?.resource ?? identifier.resource };
}

function checkGroupResource(
  given: GroupResource | undefined,
  stored: ResourceIdentifier | undefined,
): void {
  if (given === undefined || stored === undefined) return;
  for (const key of ["group", "resource"] as const) {
    if ((given[key] ?? stored[key]) === stored[key]) continue;
    throw invalid(`group_resource.${key}: field is immutable`);
  }
}
