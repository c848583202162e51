/** What bodies of REST are made of, as OpenAPI schemas. */

import type { JsonObject } from "../json.ts";

const text = { type: "string" };
const integer = { type: "integer", format: "int32" };
const time = { type: "string", format: "date-time", readOnly: true };
const object = { type: "object", additionalProperties: true };
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const list = (items: JsonObject) => ({ type: "array", items });

/** Set by the server. They may be sent back, and are not looked at. */
const meta = {
  kind: { ...text, readOnly: true },
  href: { ...text, readOnly: true },
  created_at: time,
  updated_at: time,
};

const listOf = (name: string) => ({
  type: "object",
  required: ["kind", "page", "size", "total", "items"],
  properties: {
    kind: text,
    page: integer,
    size: { ...integer, description: "The items of this page." },
    total: { ...integer, description: "The items of all pages." },
    items: list(ref(name)),
  },
});

const delivery = {
  type: "object",
  readOnly: true,
  description: "Where the resource is on its way to its cluster, and what it waits for.",
  properties: {
    state: { ...text, enum: ["pending", "delivered", "applied", "deleting"] },
    message: text,
    delivered_version: integer,
    applied_version: integer,
    attempts: integer,
    sent_at: time,
    next_send_at: time,
  },
};

const resourceMeta = {
  id: text,
  name: { ...text, description: "Unique among all resources; the id if none is given." },
  consumer_name: text,
  version: {
    ...integer,
    description: "Of a change: the version that was seen. Of a new resource: the first.",
  },
  deleted_at: { ...time, description: "There while the agent has not confirmed the deletion." },
  delivery,
  ...meta,
};

const ITEM_ACTIONS = ["create", "apply", "patch", "delete"];

/** The schemas by their names. */
export const SCHEMAS: JsonObject = {
  Error: {
    type: "object",
    required: ["kind", "id", "href", "code", "reason"],
    properties: { kind: text, id: text, href: text, code: text, reason: text, operation_id: text },
  },
  ErrorList: listOf("Error"),
  Consumer: {
    type: "object",
    properties: {
      id: { ...text, readOnly: true },
      name: text,
      labels: { type: "object", additionalProperties: text },
      connection: { ...text, readOnly: true },
      last_seen_at: time,
      agent_version: { ...text, readOnly: true },
      ...meta,
    },
  },
  ConsumerList: listOf("Consumer"),
  Manifest: {
    ...object,
    description: "A Kubernetes object. Numbers keep their digits, integers above 2^53 too.",
    required: ["apiVersion", "kind", "metadata"],
  },
  ResourceBundle: {
    type: "object",
    required: ["consumer_name", "manifests"],
    properties: {
      ...resourceMeta,
      manifests: list(ref("Manifest")),
      manifest_configs: list(object),
      delete_option: object,
      executor: object,
      metadata: { ...object, description: "The metadata of the ManifestWork." },
      status: { ...object, readOnly: true },
    },
  },
  ResourceBundleList: listOf("ResourceBundle"),
  Resource: {
    type: "object",
    required: ["consumer_name", "manifest"],
    properties: {
      ...resourceMeta,
      manifest: ref("Manifest"),
      group_resource: { type: "object", properties: { group: text, resource: text } },
      delete_option: object,
      update_strategy: object,
      status: { ...object, readOnly: true },
    },
  },
  ResourceList: listOf("Resource"),
  JsonPatch: list({
    type: "object",
    required: ["op", "path"],
    properties: { op: text, path: text, from: text, value: {} },
  }),
  Batch: {
    type: "object",
    required: ["items"],
    properties: {
      items: {
        ...list({
          type: "object",
          required: ["action"],
          properties: {
            action: { ...text, enum: ITEM_ACTIONS },
            id: text,
            version: integer,
            bundle: ref("ResourceBundle"),
            patch: { oneOf: [object, ref("JsonPatch")] },
          },
        }),
        maxItems: 1_000,
      },
    },
  },
  BatchResult: {
    type: "object",
    properties: {
      kind: text,
      size: integer,
      items: list({
        type: "object",
        required: ["status"],
        properties: {
          status: integer,
          id: text,
          version: integer,
          bundle: ref("ResourceBundle"),
          error: ref("Error"),
        },
      }),
    },
  },
};
