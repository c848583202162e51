/** Operations on resources of one manifest. */

import { NGINX, NGINX_YAML, page, RESOURCE, RESOURCE_APPLIED } from "./examples.ts";
import {
  BODY_ERRORS,
  json,
  jsonOrYaml,
  KEY_REUSED,
  NOT_THERE,
  type Operations,
} from "./operation.ts";

const indented = NGINX_YAML.replaceAll(/^(?=.)/gm, "  ");
const CREATE = { consumer_name: "cluster1", version: 1, manifest: NGINX };
const TWO = { ...NGINX, spec: { ...NGINX.spec, replicas: 2 } };

export const RESOURCES: Operations<
  "/api/maestro/v1/resources" | "/api/maestro/v1/resources/:id"
> = {
  "/api/maestro/v1/resources": {
    GET: {
      id: "listResources",
      tag: "Resources",
      summary: "List resources",
      parameters: ["page", "size", "search", "orderBy", "fields", "limit", "continue"],
      answers: {
        200: {
          says: "A page of resources.",
          content: json("ResourceList", {
            list: page("ResourceList", [RESOURCE_APPLIED]),
            empty: page("ResourceList", []),
          }),
        },
      },
      errors: { 400: "A parameter is not what it must be." },
    },
    POST: {
      id: "createResource",
      tag: "Resources",
      summary: "Create a resource",
      description:
        "The answer comes when it is stored. `delivery` of what is read later says how far it is.",
      parameters: ["dryRun", "idempotencyKey"],
      body: jsonOrYaml(
        "ResourceCreate",
        { nginx: CREATE },
        `consumer_name: cluster1\nversion: 1\nmanifest:\n${indented}`,
      ),
      answers: {
        201: {
          says: "It is stored, and on its way.",
          headers: ["Location", "ETag", "Replayed"],
          content: json("Resource", { resource: RESOURCE }),
        },
      },
      errors: {
        400: "The body cannot be accepted, or there is no such consumer.",
        409: "The name is taken, or the first request with this Idempotency-Key is under way.",
        422: KEY_REUSED,
        ...BODY_ERRORS,
      },
    },
  },
  "/api/maestro/v1/resources/:id": {
    GET: {
      id: "getResource",
      tag: "Resources",
      summary: "Read a resource",
      parameters: ["id", "ifNoneMatch"],
      answers: {
        200: {
          says: "The resource, with what its agent has reported.",
          headers: ["ETag"],
          content: json("Resource", { applied: RESOURCE_APPLIED, pending: RESOURCE }),
        },
        304: { says: "The client holds it already.", headers: ["ETag"] },
      },
      errors: { 404: NOT_THERE },
    },
    PATCH: {
      id: "patchResource",
      tag: "Resources",
      summary: "Replace a resource's manifest",
      description: "Its apiVersion, kind, name and namespace stay what they are.",
      parameters: ["id", "ifMatch", "dryRun", "idempotencyKey"],
      body: jsonOrYaml(
        "ResourcePatch",
        { twoReplicas: { version: 1, manifest: TWO } },
        `version: 1\nmanifest:\n${indented.replace("replicas: 1", "replicas: 2")}`,
      ),
      answers: {
        200: {
          says: "The resource as it is now. If nothing changes, the version stays.",
          headers: ["ETag", "Replayed"],
          content: json("Resource", {
            resource: {
              ...RESOURCE,
              delivery: {
                ...RESOURCE.delivery,
                message: "version 2 is waiting for the agent of cluster1, connected",
              },
              manifest: TWO,
              version: 2,
            },
          }),
        },
      },
      errors: {
        400: "The body cannot be accepted, or changes what never changes.",
        404: NOT_THERE,
        409: "The version is not the latest, or the resource is being deleted.",
        412: "What is stored is not what `If-Match` says.",
        422: KEY_REUSED,
        ...BODY_ERRORS,
      },
    },
    DELETE: {
      id: "deleteResource",
      tag: "Resources",
      summary: "Delete a resource",
      description:
        "It is shown with `deleted_at` until its agent confirms. Asking again, or for what is not " +
        "there, is no error.",
      parameters: ["id", "ifMatch", "dryRun", "idempotencyKey", "abandon"],
      answers: { 204: { says: "Its agent is asked to delete it.", headers: ["Replayed"] } },
      errors: {
        400: "A parameter is not what it must be.",
        403: "It is not the caller's.",
        404: "With `abandon`: there is no such resource.",
        409: "The first request with this Idempotency-Key is under way.",
        412: "What is stored is not what `If-Match` says.",
        422: KEY_REUSED,
      },
    },
  },
};
