/** Events as they are described; `wire/structured.ts` checks them. */

import * as v from "valibot";

const said = (description: string) => v.pipe(v.string(), v.description(description));

/** A spec event in the structured mode. */
export const CloudEvent = v.pipe(
  v.looseObject({
    specversion: v.literal("1.0"),
    id: said("Tells events of a source apart."),
    source: said("Who owns the resource; only the same source may change it."),
    type: said(
      "`io.open-cluster-management.works.v1alpha1.manifestbundles.spec.` and `create_request`, " +
        "`update_request` or `delete_request`.",
    ),
    resourceid: said("The id of the resource."),
    resourceversion: v.optional(v.pipe(
      v.union([v.number(), v.string()]),
      v.description("0 for a new one; of a change the version that it replaces, or 0 for any."),
    )),
    clustername: said("The consumer."),
    metadata: v.optional(said("The metadata of the ManifestWork, as JSON text.")),
    datacontenttype: v.optional(said("`application/json`.")),
    data: v.optional(v.pipe(
      v.looseObject({}),
      v.description('`{"manifests": […]}` with the options of a ManifestWork.'),
    )),
  }),
  v.description("Creates, changes or deletes a resource, as events over gRPC do."),
);

/** Events in the batched mode. */
export const CloudEventBatch = v.pipe(
  v.array(CloudEvent),
  v.maxLength(1_000),
  v.description("Up to 1,000 events. A refused one does not keep the others from being stored."),
);
