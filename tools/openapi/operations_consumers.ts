/** Operations on clusters. */

import { CONSUMER, NEW_CONSUMER, page } from "./examples.ts";
import { BODY_ERRORS, json, jsonOrYaml, type Operations } from "./operation.ts";

const NOT_THERE = "There is no such consumer.";

export const CONSUMERS: Operations<
  "/api/maestro/v1/consumers" | "/api/maestro/v1/consumers/:id"
> = {
  "/api/maestro/v1/consumers": {
    GET: {
      id: "listConsumers",
      tag: "Consumers",
      summary: "List consumers",
      parameters: ["page", "size", "search", "orderBy", "fields", "limit", "continue"],
      answers: {
        200: {
          says: "A page of consumers.",
          content: json("ConsumerList", { list: page("ConsumerList", [CONSUMER]) }),
        },
      },
      errors: { 400: "A parameter is not what it must be." },
    },
    POST: {
      id: "createConsumer",
      tag: "Consumers",
      summary: "Create a consumer",
      description: "From now on resources for this cluster are accepted, and its agent may come.",
      body: jsonOrYaml("ConsumerCreate", { cluster1: { name: "cluster1" } }, "name: cluster1\n"),
      answers: {
        201: {
          says: "It is there.",
          headers: ["Location"],
          content: json("Consumer", { consumer: NEW_CONSUMER }),
        },
      },
      errors: { 400: "The body cannot be accepted.", 409: "The name is taken.", ...BODY_ERRORS },
    },
  },
  "/api/maestro/v1/consumers/:id": {
    GET: {
      id: "getConsumer",
      tag: "Consumers",
      summary: "Read a consumer",
      parameters: ["id"],
      answers: {
        200: { says: "The consumer.", content: json("Consumer", { consumer: CONSUMER }) },
      },
      errors: { 404: NOT_THERE },
    },
    PATCH: {
      id: "patchConsumer",
      tag: "Consumers",
      summary: "Replace a consumer's labels",
      parameters: ["id"],
      body: jsonOrYaml(
        "ConsumerPatch",
        { labels: { labels: { region: "eu" } } },
        "labels:\n  region: eu\n",
      ),
      answers: {
        200: {
          says: "The consumer as it is now.",
          content: json("Consumer", { consumer: { ...CONSUMER, labels: { region: "eu" } } }),
        },
      },
      errors: {
        400: "The body cannot be accepted, or changes what never changes.",
        404: NOT_THERE,
        ...BODY_ERRORS,
      },
    },
    DELETE: {
      id: "deleteConsumer",
      tag: "Consumers",
      summary: "Delete a consumer",
      description: "One that is not there is no error.",
      parameters: ["id"],
      answers: { 204: { says: "It is gone." } },
      errors: { 403: "It still has resources." },
    },
  },
};
