/**
 * The documents that go on to agents: manifests, and how they are applied, watched and deleted (OCM work/v1).
 *
 * These schemas describe them; `wire/read_spec.ts` and `spec/validate.ts` check them, for all doors alike.
 */

import * as v from "valibot";

const said = (description: string) => v.nullish(v.pipe(v.string(), v.description(description)));
const texts = (description: string) =>
  v.nullish(v.pipe(v.array(v.string()), v.description(description)));

/** An object of Kubernetes. */
export const Manifest = v.pipe(
  v.looseObject({
    apiVersion: v.pipe(v.string(), v.minLength(1)),
    kind: v.pipe(v.string(), v.minLength(1)),
    metadata: v.looseObject({
      name: v.pipe(v.string(), v.minLength(1)),
      namespace: said("A DNS-1123 label. Left out for objects of the whole cluster."),
      labels: v.nullish(v.record(v.string(), v.string())),
      annotations: v.nullish(v.record(v.string(), v.string())),
    }),
  }),
  v.description(
    "A Kubernetes object, whole. `metadata.generateName`, `resourceVersion` and " +
      "`deletionGracePeriodSeconds` must not be set. Numbers keep their digits.",
  ),
);

/** Which object of a bundle is meant. */
export const ResourceIdentifier = v.pipe(
  v.looseObject({
    group: said("Empty for the core group."),
    resource: said("The plural name, as `deployments`."),
    name: said("The object's name."),
    namespace: said("Empty for objects of the whole cluster."),
  }),
  v.description("Names one object of a bundle."),
);

/** What becomes of the objects. */
export const DeleteOption = v.pipe(
  v.looseObject({
    propagationPolicy: said("`Foreground` deletes the objects, `Orphan` leaves them."),
    selectivelyOrphans: v.nullish(
      v.looseObject({ orphaningRules: v.nullish(v.array(ResourceIdentifier)) }),
    ),
    ttlSecondsAfterFinished: v.nullish(v.number()),
  }),
  v.description("What becomes of the objects when the resource is deleted."),
);

/** How objects are written. */
export const UpdateStrategy = v.pipe(
  v.looseObject({
    type: said("`ServerSideApply`, `Update`, `CreateOnly` or `ReadOnly`."),
    serverSideApply: v.nullish(v.looseObject({
      force: v.nullish(v.pipe(v.boolean(), v.description("Take fields from other managers."))),
      fieldManager: said("The name under which fields are owned."),
      ignoreFields: v.nullish(v.array(v.looseObject({
        condition: said("When they are ignored."),
        jsonPaths: texts("Fields by JSON path."),
        jsonPointers: texts("Fields by JSON pointer."),
        jqPathExpressions: texts("Fields by jq path."),
      }))),
    })),
  }),
  v.description("How objects are written to the cluster."),
);

/** The options of one object. */
export const ManifestConfig = v.pipe(
  v.looseObject({
    resourceIdentifier: ResourceIdentifier,
    feedbackRules: v.nullish(v.pipe(
      v.array(v.looseObject({
        type: said("`JSONPaths` or `WellKnownStatus`."),
        jsonPaths: v.nullish(v.array(v.looseObject({
          name: said("The name of the value in the status."),
          version: said("The API version to read; any if left out."),
          path: said("Such as `.status.readyReplicas`; `.status` reports all of it."),
        }))),
      })),
      v.description("What of the object's status is reported."),
    )),
    updateStrategy: v.nullish(UpdateStrategy),
    conditionRules: v.nullish(v.array(v.looseObject({
      condition: said("The condition that the rule sets."),
      type: said("`CEL` or `WellKnownConditions`."),
      celExpressions: texts("All of them must hold."),
      message: said("The condition's message."),
      messageExpression: said("CEL that makes the message."),
    }))),
    feedbackScrapeType: said("How the status is read."),
  }),
  v.description("How one object of the bundle is written, and what is reported of it."),
);

/** As whom the agent applies. */
export const Executor = v.pipe(
  v.looseObject({
    subject: v.nullish(v.looseObject({
      type: said("`ServiceAccount`."),
      serviceAccount: v.nullish(v.looseObject({
        namespace: said("Its namespace."),
        name: said("Its name."),
      })),
    })),
  }),
  v.description("As whom the agent applies the objects."),
);

/** The metadata of a bundle. */
export const BundleMetadata = v.pipe(
  v.looseObject({
    labels: v.nullish(v.record(v.string(), v.string())),
    annotations: v.nullish(v.record(v.string(), v.string())),
  }),
  v.description("The metadata of the ManifestWork. Bundles are searched by its labels."),
);
