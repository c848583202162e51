/** What clients are answered about resources and bundles. The document has it, and tests hold it true. */

import * as v from "valibot";
import { count, listOf, shownAs, time, told, word } from "./answer_members.ts";
import { ErrorAnswer } from "./answers.ts";
import {
  BundleMetadata,
  DeleteOption,
  Executor,
  Manifest,
  ManifestConfig,
  UpdateStrategy,
} from "./options.ts";

/** Where a resource is on its way. */
export const Delivery = v.pipe(
  v.strictObject({
    state: word(
      ["pending", "delivered", "applied", "deleting"],
      "`pending`: the agent does not have this version. `delivered`: it has, and has not applied " +
        "it. `applied`: it has. `deleting`: what is on the cluster is to go.",
    ),
    message: told("The same in words, with what is waited for."),
    delivered_version: count("The last version that the agent is known to hold; 0 for none."),
    applied_version: count("The last version that it has applied; 0 for none."),
    attempts: count("How often what is waited for was sent."),
    sent_at: v.optional(time("When it was sent last.")),
    next_send_at: v.optional(time("When it is sent again, if the agent is there.")),
  }),
  v.description("Where the resource is on its way to its cluster."),
);

/** A condition as agents report it. */
export const Condition = v.pipe(
  v.looseObject({
    type: v.optional(told("Such as `Applied`, `Available` or `StatusFeedbackSynced`.")),
    status: v.optional(told("`True`, `False` or `Unknown`.")),
    reason: v.optional(told("One word.")),
    message: v.optional(told("A sentence.")),
    lastTransitionTime: v.nullish(told("When `status` changed last.")),
    observedGeneration: v.optional(v.unknown()),
  }),
  v.description("A condition of Kubernetes, as the agent reports it."),
);

const COLUMNS = {
  consumer_name: told("The cluster that has it."),
  created_at: time("When it was created."),
  updated_at: time("When its spec was changed last."),
  deleted_at: v.optional(
    time("When its deletion was asked for. Until the agent confirms it stays."),
  ),
  name: told("Unique among all resources."),
  version: count("It grows by one with every change of the spec."),
};

const ObservedVersion = count("The version that the status is about.");
const SequenceID = told("Orders the reports of a resource.");

/** A resource of one manifest. */
export const Resource = v.pipe(
  v.strictObject({
    ...shownAs("Resource"),
    ...COLUMNS,
    manifest: v.pipe(
      v.union([Manifest, v.strictObject({})]),
      v.description("The Kubernetes object, as it was sent."),
    ),
    group_resource: v.optional(v.looseObject({
      group: v.optional(told("The API group; empty for the core group.")),
      resource: v.optional(told("The plural name.")),
    })),
    delete_option: v.optional(DeleteOption),
    update_strategy: v.optional(UpdateStrategy),
    delivery: Delivery,
    status: v.optional(v.pipe(
      v.strictObject({
        ContentStatus: v.pipe(
          v.unknown(),
          v.description("The object's own `.status` on its cluster; null if it has none."),
        ),
        ReconcileStatus: v.strictObject({
          Conditions: v.pipe(v.array(Condition), v.description("How applying went.")),
          ObservedVersion,
          SequenceID,
        }),
      }),
      v.description("What the agent has reported. Absent until it reports."),
    )),
  }),
  v.description("A Kubernetes object on a cluster."),
);

/** `GET /resources`. */
export const ResourceList = listOf("ResourceList", Resource);

const FeedbackValue = v.looseObject({
  name: v.optional(told("That of the feedback rule.")),
  fieldValue: v.optional(v.looseObject({
    type: v.optional(told("`Integer`, `String`, `Boolean` or `JsonRaw`: which member is there.")),
    integer: v.optional(v.unknown()),
    string: v.optional(v.string()),
    boolean: v.optional(v.boolean()),
    jsonRaw: v.optional(told("JSON as text.")),
  })),
});

const ManifestStatus = v.pipe(
  v.looseObject({
    resourceMeta: v.optional(v.looseObject({
      ordinal: v.optional(count("The manifest's place in the bundle.")),
      ...Object.fromEntries(
        ["group", "version", "kind", "resource", "name", "namespace"]
          .map((key) => [key, v.optional(v.string())]),
      ),
    })),
    conditions: v.nullish(v.array(Condition)),
    statusFeedback: v.optional(v.looseObject({ values: v.nullish(v.array(FeedbackValue)) })),
  }),
  v.description("How it stands with one manifest."),
);

/** A bundle of manifests. */
export const ResourceBundle = v.pipe(
  v.strictObject({
    ...shownAs("ResourceBundle"),
    ...COLUMNS,
    metadata: v.pipe(
      v.looseObject({
        ...BundleMetadata.entries,
        creationTimestamp: told("`created_at` to the second."),
        deletionTimestamp: v.optional(told("`deleted_at` to the second.")),
      }),
      v.description("The metadata of the ManifestWork."),
    ),
    manifests: v.array(v.looseObject({})),
    manifest_configs: v.array(v.looseObject(ManifestConfig.entries)),
    delete_option: DeleteOption,
    executor: v.optional(Executor),
    delivery: v.optional(Delivery),
    status: v.optional(v.pipe(
      v.strictObject({
        ObservedVersion,
        SequenceID,
        conditions: v.pipe(v.array(Condition), v.description("How it stands with all of it.")),
        resourceStatus: v.optional(
          v.pipe(v.array(ManifestStatus), v.description("The same for each manifest.")),
        ),
      }),
      v.description("What the agent has reported. Absent until it reports."),
    )),
  }),
  v.description("Kubernetes objects on a cluster, applied and reported together."),
);

/** `GET /resource-bundles`. */
export const ResourceBundleList = listOf("ResourceBundleList", ResourceBundle);

const status = count("As of an answer to a request with this change only.");
const id = told("The bundle's id.");

/** What became of a batch. */
export const ResourceBundleBatch = v.pipe(
  v.strictObject({
    items: v.array(v.union([
      v.strictObject({
        status,
        id,
        version: count("The version that the bundle has now."),
        bundle: v.optional(ResourceBundle),
      }),
      v.strictObject({ status: v.literal(204), id }),
      v.strictObject({ status, error: ErrorAnswer }),
    ])),
    kind: v.literal("ResourceBundleBatch"),
    size: count("How many items there are."),
  }),
  v.description(
    "An answer to each change, in their order. Beyond 32 MiB the bundles themselves are left out.",
  ),
);

/** The data of a `deleted` event if not even the bundle's last state is known. */
export const Farewell = v.pipe(
  v.strictObject({
    ...shownAs("ResourceBundle"),
    consumer_name: told("The cluster that had it."),
  }),
  v.description("What is left of a bundle that is gone."),
);

/** The data of the `error` event that ends a stream. */
export const WatchEnd = v.pipe(
  v.strictObject({
    ...ErrorAnswer.entries,
    status: count("The status that a request would have been answered with."),
    cursor: v.optional(told("From where to go on.")),
  }),
  v.description("Why the stream ends, and from where to go on."),
);
