/** What clients send to create, replace or change a bundle. */

import * as v from "valibot";
import { isObject, type JsonObject } from "../../json.ts";
import { RESOURCE_VERSION_MAX } from "../../wire/event.ts";
import type { ManifestConfig as Config } from "../../wire/work_spec.ts";
import { ignored, object, objects, passing, requiredText, text, whole } from "./members.ts";
import { BundleMetadata, DeleteOption, Executor, Manifest, ManifestConfig } from "./options.ts";

/** Ours to set. */
export const READ_ONLY = [
  ...["kind", "href", "created_at", "updated_at", "deleted_at", "status", "delivery"],
] as const;

const IDENTITY = {
  id: text("What the bundle is called in paths. Made by the server if left out."),
  name: text("Unique among all resources: a DNS-1123 label. The id if left out. It never changes."),
};

const VERSION = whole(
  "Of a change the version that was seen; of a new bundle the one to begin with.",
  { min: 0, max: RESOURCE_VERSION_MAX },
);

const Configs = objects<Config>(
  ManifestConfig,
  ({ resourceIdentifier }) =>
    isObject(resourceIdentifier) ? undefined : ".resourceIdentifier must be an object",
);

const METADATA = object("Labels and annotations; bundles are searched by labels.", BundleMetadata);

const OPTIONS = {
  manifest_configs: v.pipe(
    v.nullish(Configs),
    v.description("How objects are written, and what is reported of them; one each."),
    v.transform((given) => given ?? []),
  ),
  delete_option: object("What becomes of the objects at deletion.", DeleteOption),
  executor: object("As whom the agent applies the objects.", Executor),
};

/** The body of `POST /resource-bundles` and of `PUT /resource-bundles/{id}`. */
export const BundleInput = v.pipe(
  v.strictObject({
    ...IDENTITY,
    consumer_name: requiredText("The cluster that is to have it. It never changes."),
    version: VERSION,
    metadata: METADATA,
    manifests: v.pipe(
      objects<JsonObject>(Manifest),
      v.description("The Kubernetes objects. None is there twice."),
    ),
    ...OPTIONS,
    ...ignored(READ_ONLY),
  }),
  v.description("Kubernetes objects for one cluster, applied and reported together."),
);

const anything = (description: string, shape: v.GenericSchema) =>
  v.optional(
    v.pipe(
      passing<unknown>(() => true, "", { shape: v.nullish(shape) }),
      v.description(description),
    ),
  );

/** The body of `PATCH /resource-bundles/{id}` as a merge patch; what it makes of the bundle is checked as that is. */
export const BundleMergePatch = v.pipe(
  v.strictObject({
    id: text("If given it must be the id in the path."),
    name: anything("If given it must be the one that is stored.", v.string()),
    consumer_name: anything("If given it must be the one that is stored.", v.string()),
    version: whole("The version that was seen. Left out or 0: any.", {
      min: 0,
      max: RESOURCE_VERSION_MAX,
    }),
    metadata: anything("Merged, member by member; null removes one.", v.looseObject({})),
    manifests: anything("Replaces all of them.", v.array(Manifest)),
    manifest_configs: anything("Replaces all of them.", v.array(ManifestConfig)),
    delete_option: anything("Merged, member by member.", v.looseObject({})),
    executor: anything("Merged, member by member.", v.looseObject({})),
    ...ignored(READ_ONLY),
  }),
  v.description(
    "What changes of the bundle (RFC 7396): objects are merged, lists are replaced, null removes.",
  ),
);
