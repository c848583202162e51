/** What clients send to create or change a resource of one manifest, and the bundle it becomes. */

import type { InferOutput } from "valibot";
import type { JsonObject } from "../json.ts";
import {
  immutabilityErrors,
  refuse,
  validateManifest,
  validateResourceName,
} from "../spec/validate.ts";
import {
  type BundleSpec,
  type DeleteOption,
  identifierOf,
  type ResourceIdentifier,
  type UpdateStrategy,
  WHOLE_STATUS,
} from "../wire/work_spec.ts";
import { invalid } from "./body.ts";
import { ResourceCreate, ResourcePatch } from "./schemas/resource.ts";
import { validate } from "./validate.ts";

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

/** Parses the body of a POST. Throws `invalid_argument` with the member and what it must be. */
export function parseResourceInput(body: JsonObject): ResourceInput {
  const given = validate(ResourceCreate, body);
  const { name, consumer_name: consumerName, manifest = {} } = given;
  const { deleteOption, updateStrategy } = checkOptions(given);
  if (
    updateStrategy?.type === "ReadOnly" && deleteOption &&
    deleteOption.propagationPolicy !== "Orphan"
  ) {
    throw invalid("update strategy ReadOnly is only allowed with delete option Orphan");
  }
  if (name !== undefined) validateResourceName(name);
  refuse("the manifest in the resource", validateManifest(manifest));
  const spec = withOptions({
    manifests: [manifest],
    manifestConfigs: [{
      resourceIdentifier: identify(manifest, given.group_resource ?? undefined),
      feedbackRules: WHOLE_STATUS,
    }],
  }, { deleteOption, updateStrategy });
  return { name, consumerName, version: given.version || 1, spec };
}

/** The parts of a stored resource that a PATCH must not change. */
export interface StoredResource {
  id: string;
  name: string;
  consumerName: string;
  version: number;
  spec: BundleSpec;
}

/** The body of a PATCH. */
export type ResourceChange = InferOutput<typeof ResourcePatch>;

/** Parses the body of a PATCH. It must say the version that it replaces, unless `If-Match` does. */
export function parseResourcePatch(
  body: JsonObject,
  { isTagged }: { isTagged: boolean },
): ResourceChange {
  const change = validate(ResourcePatch, body);
  if (change.version === undefined && !isTagged) throw invalid("version is required");
  return change;
}

/** The spec that a PATCH makes. The manifest is replaced; options that are not given stay. */
export function changeResource(change: ResourceChange, stored: StoredResource): BundleSpec {
  const fixed = { id: stored.id, name: stored.name, consumer_name: stored.consumerName };
  for (const [key, value] of Object.entries(fixed)) {
    if ((change[key as keyof typeof fixed] ?? value) !== value) {
      throw invalid(`${key}: field is immutable`);
    }
  }
  const options = checkOptions(change);
  const { manifest = {} } = change;
  const current = stored.spec.manifests[0] ?? {};
  const noun = "the new manifest in the resource";
  refuse(noun, validateManifest(manifest));
  refuse(noun, immutabilityErrors(manifest, current));
  const config = stored.spec.manifestConfigs?.[0];
  checkGroupResource(change.group_resource ?? undefined, config?.resourceIdentifier);
  return withOptions({ ...stored.spec, manifests: [manifest] }, {
    deleteOption: options.deleteOption ?? stored.spec.deleteOption,
    updateStrategy: options.updateStrategy ?? config?.updateStrategy,
  });
}

function checkOptions(
  { delete_option, update_strategy }: Pick<ResourceChange, "delete_option" | "update_strategy">,
): Options {
  checkOption("invalid delete option", delete_option, "propagationPolicy");
  checkOption("invalid update strategy", update_strategy, "type");
  return { deleteOption: delete_option, updateStrategy: update_strategy };
}

function checkOption(reason: string, options: JsonObject | undefined, key: string): void {
  const value = options?.[key];
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
  group?: string | undefined;
  resource?: string | undefined;
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
