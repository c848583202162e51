/** Operations on bundles. */

import { schemaRef } from "./schemas.ts";
import { BUNDLE, BUNDLE_APPLIED, NGINX, NGINX_YAML, page, STREAM } from "./examples.ts";
import {
  BODY_ERRORS,
  type Content,
  json,
  jsonOrYaml,
  KEY_REUSED,
  NOT_THERE,
  type Operations,
} from "./operation.ts";

const INPUT = {
  id: "web",
  consumer_name: "cluster1",
  metadata: { labels: { app: "web" } },
  manifests: [NGINX],
};

/** A bundle, or manifests as kubectl takes them. */
const BODY = jsonOrYaml(
  { anyOf: [schemaRef("BundleInput"), schemaRef("Manifest")] },
  { bundle: INPUT, manifest: NGINX },
  NGINX_YAML,
);

const PATCH: Content = {
  "application/merge-patch+json": {
    schema: "BundleMergePatch",
    examples: { labels: { version: 1, metadata: { labels: { app: "web", tier: null } } } },
  },
  "application/json": { schema: "BundleMergePatch" },
  "application/yaml": { schema: "BundleMergePatch" },
  "application/json-patch+json": {
    schema: "JsonPatch",
    examples: {
      twoReplicas: [
        { op: "test", path: "/version", value: 1 },
        { op: "replace", path: "/manifests/0/spec/replicas", value: 2 },
      ],
    },
  },
};

const CHANGED = {
  ...BUNDLE,
  delivery: {
    ...BUNDLE.delivery,
    message: "version 2 is waiting for the agent of cluster1, connected",
  },
  version: 2,
};

const MANIFESTS =
  "The body is a bundle; or manifests as kubectl takes them, several as YAML documents, with " +
  "`consumer_name` in the address. Then the whole `.status` of each object is reported.";

export const BUNDLES: Operations<
  | "/api/maestro/v1/resource-bundles"
  | "/api/maestro/v1/resource-bundles/:id"
  | "/api/maestro/v1/resource-bundles:batch"
> = {
  "/api/maestro/v1/resource-bundles": {
    GET: {
      id: "listResourceBundles",
      tag: "Resource bundles",
      summary: "List or watch bundles",
      description:
        "With `watch=true` first comes what is there, as `added`, then a `bookmark`, then every " +
        "change as `added`, `modified` or `deleted`, with the bundle as its data. An `error` ends " +
        "the stream. These are server-sent events, or with `Accept: application/json` lines such as " +
        '`{"type":"ADDED","object":{…}}`. Only `search`, `cursor` and `Last-Event-ID` go with it.',
      parameters: [
        ...["page", "size", "search", "orderBy", "fields", "limit", "continue"] as const,
        ...["watch", "cursor", "lastEventId"] as const,
      ],
      answers: {
        200: {
          says: "A page of bundles, or a stream of events.",
          content: {
            ...json("ResourceBundleList", {
              list: page("ResourceBundleList", [BUNDLE_APPLIED]),
            }),
            "text/event-stream": { schema: { type: "string" }, examples: { stream: STREAM } },
            "application/x-ndjson": { schema: { type: "string" } },
          },
        },
      },
      errors: {
        400: "A parameter is not what it must be.",
        410: "The cursor is too old, or of another database: list again.",
      },
    },
    POST: {
      id: "createResourceBundle",
      tag: "Resource bundles",
      summary: "Create a bundle",
      description: MANIFESTS,
      parameters: ["consumerName", "bundleName", "mustBeNew", "dryRun", "idempotencyKey"],
      body: BODY,
      answers: {
        201: {
          says: "It is stored, and on its way.",
          headers: ["Location", "ETag", "Replayed"],
          content: json("ResourceBundle", { bundle: BUNDLE }),
        },
      },
      errors: {
        400: "The body cannot be accepted, or there is no such consumer.",
        409:
          "The id or name is taken, or the first request with this Idempotency-Key is under way.",
        412: "With `If-None-Match: *`: it is there.",
        422: KEY_REUSED,
        ...BODY_ERRORS,
      },
    },
  },
  "/api/maestro/v1/resource-bundles/:id": {
    GET: {
      id: "getResourceBundle",
      tag: "Resource bundles",
      summary: "Read a bundle",
      parameters: ["id", "ifNoneMatch"],
      answers: {
        200: {
          says: "The bundle, with what its agent has reported.",
          headers: ["ETag"],
          content: json("ResourceBundle", { applied: BUNDLE_APPLIED, pending: BUNDLE }),
        },
        304: { says: "The client holds it already.", headers: ["ETag"] },
      },
      errors: { 404: NOT_THERE },
    },
    PATCH: {
      id: "patchResourceBundle",
      tag: "Resource bundles",
      summary: "Change parts of a bundle",
      description: "By a merge patch, or step by step. JSON and YAML count as merge patches.",
      parameters: ["id", "ifMatch", "dryRun", "idempotencyKey"],
      body: PATCH,
      answers: {
        200: {
          says: "The bundle as it is now. If nothing changes, the version stays.",
          headers: ["ETag", "Replayed"],
          content: json("ResourceBundle", { bundle: CHANGED }),
        },
      },
      errors: {
        400: "The patch cannot be read or applied, or what it makes is no bundle.",
        404: NOT_THERE,
        409: "The version is not the latest, a `test` fails, or the bundle is being deleted.",
        412: "What is stored is not what `If-Match` says.",
        422: KEY_REUSED,
        ...BODY_ERRORS,
      },
    },
    PUT: {
      id: "putResourceBundle",
      tag: "Resource bundles",
      summary: "Replace a bundle whole, or create it",
      description: MANIFESTS,
      parameters: [
        ...["id", "consumerName", "bundleName", "ifMatch", "mustBeNew"] as const,
        ...["dryRun", "idempotencyKey"] as const,
      ],
      body: BODY,
      answers: {
        200: {
          says: "It is replaced. If nothing changes, the version stays.",
          headers: ["ETag", "Replayed"],
          content: json("ResourceBundle", { bundle: CHANGED }),
        },
        201: {
          says: "It is created.",
          headers: ["Location", "ETag", "Replayed"],
          content: json("ResourceBundle", { bundle: BUNDLE }),
        },
      },
      errors: {
        400: "The body cannot be accepted, or there is no such consumer.",
        404: "With a version: there is no such bundle.",
        409: "The version is not the latest, or the bundle is being deleted.",
        412: "What is stored is not what `If-Match` or `If-None-Match` says.",
        422: KEY_REUSED,
        ...BODY_ERRORS,
      },
    },
    DELETE: {
      id: "deleteResourceBundle",
      tag: "Resource bundles",
      summary: "Delete a bundle",
      description:
        "It is shown with `deleted_at` until its agent confirms. Asking again, or for what is not " +
        "there, is no error.",
      parameters: ["id", "ifMatch", "dryRun", "idempotencyKey", "abandon"],
      answers: { 204: { says: "Its agent is asked to delete it.", headers: ["Replayed"] } },
      errors: {
        400: "A parameter is not what it must be.",
        403: "It is not the caller's.",
        404: "With `abandon`: there is no such bundle.",
        409: "The first request with this Idempotency-Key is under way.",
        412: "What is stored is not what `If-Match` says.",
        422: KEY_REUSED,
      },
    },
  },
  "/api/maestro/v1/resource-bundles:batch": {
    POST: {
      id: "batchResourceBundles",
      tag: "Resource bundles",
      summary: "Many changes of bundles in one request",
      description:
        "Each is checked, stored and answered for itself. Those of one bundle take effect in their " +
        "order. In YAML each document may be an item. A body has at most 8 MiB.",
      parameters: ["dryRun", "idempotencyKey"],
      body: jsonOrYaml("BatchInput", {
        four: {
          items: [
            { action: "create", bundle: INPUT },
            { action: "apply", id: "db", bundle: { consumer_name: "cluster1", manifests: [] } },
            { action: "patch", id: "web", patch: { metadata: { labels: { app: "web" } } } },
            { action: "delete", id: "old", version: 3 },
          ],
        },
      }),
      answers: {
        200: {
          says: "An answer to each.",
          headers: ["Replayed"],
          content: json("ResourceBundleBatch", {
            two: {
              items: [
                { status: 201, id: "web", version: 1, bundle: BUNDLE },
                { status: 204, id: "old" },
              ],
              kind: "ResourceBundleBatch",
              size: 2,
            },
          }),
        },
      },
      errors: {
        400: "The body is no batch, or has more than 1,000 items.",
        409: "The first request with this Idempotency-Key is under way.",
        422: KEY_REUSED,
        413: "The body is larger than 8 MiB.",
        415: BODY_ERRORS[415],
      },
    },
  },
};
