/** What REST takes and answers, as an OpenAPI document. */

import type { JsonObject } from "../json.ts";
import { VERSION } from "../version.ts";
import { SCHEMAS } from "./openapi_schemas.ts";

const V1 = "/api/maestro/v1";

const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });
const parameters = (...names: string[]) => names.map((name) => ref("parameters", name));
const content = (schema: string, ...types: string[]) =>
  Object.fromEntries(types.map((type) => [type, { schema: ref("schemas", schema) }]));

const JSON_TYPE = "application/json";
const DOCUMENT_TYPES = [JSON_TYPE, "application/yaml"];
/** What any request may be answered with. */
const REFUSALS = { default: ref("responses", "Refused") };

/** The answer that a request hopes for. */
function answer(status: number, description: string, schema?: string): JsonObject {
  const body = schema === undefined ? {} : { content: content(schema, JSON_TYPE) };
  return { responses: { [status]: { description, ...body }, ...REFUSALS } };
}

const body = (schema: string, ...types: string[]) => ({
  requestBody: { required: true, content: content(schema, ...types) },
});

const LISTED = parameters("page", "size", "search", "orderBy", "fields");
const WRITTEN = parameters("dryRun", "Idempotency-Key");
const CHANGED = parameters("dryRun", "Idempotency-Key", "If-Match", "If-None-Match");
const WRAPPED = parameters("consumer_name", "name");

const get = (summary: string, schema: string, extra: JsonObject = {}) => ({
  get: { summary, ...extra, ...answer(200, "It is there.", schema) },
});
const list = (what: string, schema: string, extra: unknown[] = []) =>
  get(`Lists ${what}`, schema, { parameters: [...LISTED, ...extra] });
const remove = (summary: string, given: unknown[]) => ({
  delete: { summary, parameters: given, ...answer(204, "It is gone, or will be.") },
});
const byId = (operations: JsonObject) => ({
  parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
  ...operations,
});

const CONSUMER_PATHS = {
  [`${V1}/consumers`]: {
    ...list("consumers", "ConsumerList"),
    post: {
      summary: "Creates a consumer",
      ...body("Consumer", ...DOCUMENT_TYPES),
      ...answer(201, "It is created.", "Consumer"),
    },
  },
  [`${V1}/consumers/{id}`]: byId({
    ...get("Reads a consumer", "Consumer"),
    patch: {
      summary: "Replaces the labels of a consumer",
      ...body("Consumer", ...DOCUMENT_TYPES),
      ...answer(200, "It is changed.", "Consumer"),
    },
    ...remove("Removes a consumer that has no resources", []),
  }),
};

const RESOURCE_PATHS = {
  [`${V1}/resources`]: {
    ...list("resources of one manifest", "ResourceList"),
    post: {
      summary: "Creates a resource of one manifest",
      parameters: WRITTEN,
      ...body("Resource", ...DOCUMENT_TYPES),
      ...answer(201, "It is stored, and its agent will be told.", "Resource"),
    },
  },
  [`${V1}/resources/{id}`]: byId({
    ...get("Reads a resource", "Resource", { parameters: parameters("If-None-Match") }),
    patch: {
      summary: "Replaces the manifest of a resource",
      parameters: CHANGED,
      ...body("Resource", ...DOCUMENT_TYPES),
      ...answer(200, "It is stored, and its agent will be told.", "Resource"),
    },
    ...remove("Deletes a resource", [...CHANGED, ref("parameters", "abandon")]),
  }),
};

const BUNDLE_PATHS = {
  [`${V1}/resource-bundles`]: {
    ...list("bundles, or tells of their changes", "ResourceBundleList", parameters("watch")),
    post: {
      summary: "Creates a bundle",
      parameters: [...WRITTEN, ...WRAPPED],
      ...body("ResourceBundle", ...DOCUMENT_TYPES),
      ...answer(201, "It is stored, and its agent will be told.", "ResourceBundle"),
    },
  },
  [`${V1}/resource-bundles/{id}`]: byId({
    ...get("Reads a bundle", "ResourceBundle", { parameters: parameters("If-None-Match") }),
    put: {
      summary: "Replaces a bundle, or creates it",
      parameters: [...CHANGED, ...WRAPPED],
      ...body("ResourceBundle", ...DOCUMENT_TYPES),
      responses: {
        200: { description: "It is replaced.", content: content("ResourceBundle", JSON_TYPE) },
        201: { description: "It is created.", content: content("ResourceBundle", JSON_TYPE) },
        ...REFUSALS,
      },
    },
    patch: {
      summary: "Changes parts of a bundle",
      parameters: CHANGED,
      requestBody: {
        required: true,
        content: {
          ...content("ResourceBundle", ...DOCUMENT_TYPES, "application/merge-patch+json"),
          ...content("JsonPatch", "application/json-patch+json"),
        },
      },
      ...answer(200, "It is changed, or was so already.", "ResourceBundle"),
    },
    ...remove("Deletes a bundle", [...CHANGED, ref("parameters", "abandon")]),
  }),
  [`${V1}/resource-bundles:batch`]: {
    post: {
      summary: "Makes up to 1,000 changes of bundles, each answered for itself",
      parameters: WRITTEN,
      ...body("Batch", ...DOCUMENT_TYPES),
      ...answer(200, "What became of each.", "BatchResult"),
    },
  },
};

const isPublic = { security: [] };
const OTHER_PATHS = {
  "/api/maestro": {
    get: { summary: "Reads what this API is", ...isPublic, ...answer(200, "It is.") },
  },
  [V1]: { get: { summary: "Reads what this version has", ...isPublic, ...answer(200, "It is.") } },
  [`${V1}/openapi`]: {
    get: { summary: "Reads this document", ...isPublic, ...answer(200, "It is this.") },
  },
  [`${V1}/errors`]: list("the errors", "ErrorList"),
  [`${V1}/errors/{id}`]: byId(get("Reads an error", "Error", isPublic)),
  [`${V1}/cloudevents`]: {
    post: {
      summary: "Takes CloudEvents that create, update or delete resources",
      requestBody: {
        required: true,
        content: {
          "application/cloudevents+json": {},
          "application/cloudevents-batch+json": {},
          [JSON_TYPE]: {},
        },
      },
      responses: {
        200: { description: "What became of each event of a batch." },
        204: { description: "It is stored, and its agent will be told." },
        ...REFUSALS,
      },
    },
  },
};

const query = (name: string, description: string, schema: JsonObject = { type: "string" }) => ({
  [name]: { name, in: "query", description, schema },
});
const header = (name: string, description: string) => ({
  [name]: { name, in: "header", description, schema: { type: "string" } },
});
const integer = { type: "integer" };
const boolean = { type: "boolean" };

const PARAMETERS = {
  ...query("page", "The page, beginning with 1.", integer),
  ...query("size", "The items of a page.", integer),
  ...query("search", "What is looked for, such as consumer_name = 'cluster1'."),
  ...query("orderBy", "By what the list is ordered."),
  ...query("fields", "Which members are answered."),
  ...query("watch", "Tells of every change as server-sent events.", boolean),
  ...query("dryRun", "Checks everything and stores nothing.", boolean),
  ...query("abandon", "Ends the wait for an agent that never comes back.", boolean),
  ...query("consumer_name", "The consumer, if the body has Kubernetes manifests."),
  ...query("name", "The name, if the body has Kubernetes manifests."),
  ...header("Idempotency-Key", "The request takes effect once within a day."),
  ...header("If-Match", "The ETag of what was seen, or *: else 412."),
  ...header("If-None-Match", "Of a read: 304 if it is so still. Of a change: * creates only."),
};

/** The document. */
export const OPENAPI: JsonObject = {
  openapi: "3.1.0",
  info: {
    title: "Maestro",
    version: VERSION,
    description: "Stores Kubernetes manifests for many clusters, delivers them, " +
      "and brings their status back.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/" }],
  security: [{ bearer: [] }],
  paths: { ...OTHER_PATHS, ...CONSUMER_PATHS, ...RESOURCE_PATHS, ...BUNDLE_PATHS },
  components: {
    schemas: SCHEMAS,
    parameters: PARAMETERS,
    responses: {
      Refused: {
        description: "It is refused, with the reason.",
        content: content("Error", JSON_TYPE),
      },
    },
    securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
  },
};
