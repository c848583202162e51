/** Operations on CloudEvents. */

import { CLOUD_EVENT } from "./examples.ts";
import { BODY_ERRORS, json, NOT_THERE, type Operations } from "./operation.ts";

export const EVENTS: Operations<"/api/maestro/v1/cloudevents"> = {
  "/api/maestro/v1/cloudevents": {
    POST: {
      id: "publishCloudEvents",
      tag: "CloudEvents",
      summary: "Publish events",
      description:
        "In structured, batched or binary mode; in binary mode the attributes are headers that " +
        "begin with `ce-`, and the body is the data. Statuses come back over gRPC, or by reading.",
      body: {
        "application/cloudevents+json": { schema: "CloudEvent", examples: { create: CLOUD_EVENT } },
        "application/cloudevents-batch+json": {
          schema: "CloudEventBatch",
          examples: { batch: [CLOUD_EVENT] },
        },
      },
      answers: {
        204: { says: "The event is stored." },
        200: {
          says: "Of a batch: a result for each event.",
          content: json("CloudEventResultList", {
            two: {
              items: [
                { id: "1", source: "me", status: 204 },
                {
                  ...{ id: "2", source: "me", status: 409, code: "maestro-6" },
                  reason: "This Resource already exists",
                },
              ],
              kind: "CloudEventResultList",
              size: 2,
            },
          }),
        },
      },
      errors: {
        400: "The event cannot be read or accepted.",
        403: "The resource, or the source, is another's.",
        404: NOT_THERE,
        409: "The version is not the latest, the resource is being deleted, or it is there.",
        ...BODY_ERRORS,
      },
    },
  },
};
