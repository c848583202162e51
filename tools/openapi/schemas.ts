/** The JSON Schemas of the document, made from the valibot schemas that the server and its tests check by. */

import { type ConversionConfig, toJsonSchemaDefs } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import * as answers from "../../src/lib/rest/schemas/answers.ts";
import * as resources from "../../src/lib/rest/schemas/answers_resources.ts";
import { SelectedFields } from "../../src/lib/rest/schemas/answer_members.ts";
import { BatchInput, BatchItem } from "../../src/lib/rest/schemas/batch.ts";
import { BundleInput, BundleMergePatch } from "../../src/lib/rest/schemas/bundle.ts";
import { CloudEvent, CloudEventBatch } from "../../src/lib/rest/schemas/cloud_event.ts";
import { ConsumerCreate, ConsumerPatch } from "../../src/lib/rest/schemas/consumer.ts";
import { JsonPatch } from "../../src/lib/rest/schemas/json_patch.ts";
import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";
import * as options from "../../src/lib/rest/schemas/options.ts";
import { ResourceCreate, ResourcePatch } from "../../src/lib/rest/schemas/resource.ts";

/** What clients send. */
const SENT = {
  ...{ ConsumerCreate, ConsumerPatch, ResourceCreate, ResourcePatch },
  ...{ BundleInput, BundleMergePatch, JsonPatch, BatchInput, BatchItem },
  ...{ CloudEvent, CloudEventBatch },
};

/** What both sides send. */
const SHARED = {
  Manifest: options.Manifest,
  ManifestConfig: options.ManifestConfig,
  ResourceIdentifier: options.ResourceIdentifier,
  DeleteOption: options.DeleteOption,
  UpdateStrategy: options.UpdateStrategy,
  Executor: options.Executor,
  BundleMetadata: options.BundleMetadata,
};

/** What clients are answered. */
const ANSWERED = {
  ...{ Consumer: answers.Consumer, ConsumerList: answers.ConsumerList },
  ...{ Resource: resources.Resource, ResourceList: resources.ResourceList },
  ResourceBundle: resources.ResourceBundle,
  ResourceBundleList: resources.ResourceBundleList,
  ResourceBundleBatch: resources.ResourceBundleBatch,
  CloudEventResultList: answers.CloudEventResultList,
  ...{ Delivery: resources.Delivery, Condition: resources.Condition, SelectedFields },
  ...{ Farewell: resources.Farewell, WatchEnd: resources.WatchEnd },
  ...{ ApiMetadata: answers.ApiMetadata, VersionMetadata: answers.VersionMetadata },
  ...{ Error: answers.ErrorAnswer, ErrorList: answers.ErrorList },
  LoginRefused: answers.LoginRefused,
};

const ALL: Record<string, GenericSchema> = { ...SENT, ...SHARED, ...ANSWERED };

/** The name of a schema in the document. */
export type SchemaName = keyof typeof SENT | keyof typeof SHARED | keyof typeof ANSWERED;

/** A reference to a schema of the document. */
export function schemaRef(name: SchemaName): JsonSchema {
  return { $ref: refTo(name) };
}

function refTo(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Every schema of the document. */
export function documentSchemas(): Record<string, JsonSchema> {
  const unnamed = findUnnamed(Object.values(ALL));
  const given = {
    ...ALL,
    ...Object.fromEntries([...unnamed].map(([shape, name]) => [name, shape])),
  };
  const names = new Map(Object.entries(given).map(([name, schema]) => [schema, name]));
  const converted = toJsonSchemaDefs(given, configure(names)) as Record<string, JsonSchema>;
  return Object.fromEntries(
    Object.keys(ALL).map((name) => {
      // A later version may tell more: clients are not to rely on an answer having no other members.
      const isOpen = Object.hasOwn(ANSWERED, name);
      return [name, tidy(inline(converted[name], converted), { isOpen })];
    }),
  );
}

function configure(names: ReadonlyMap<GenericSchema, string>): ConversionConfig {
  return {
    target: "draft-2020-12",
    typeMode: "input",
    // What JSON Schema cannot say, as a check across members, is said in words.
    ignoreActions: ["check", "raw_check", "partial_check"],
    overrideRef: ({ referenceId }) => refTo(referenceId),
    overrideSchema({ valibotSchema, jsonSchema }) {
      if (isDescribed(valibotSchema)) {
        const how = valibotSchema.described;
        return "json" in how ? how.json : { $ref: refTo(names.get(how.shape) ?? "") };
      }
      if (valibotSchema.type !== "nullish") return undefined;
      return orNull((jsonSchema.anyOf?.[0] ?? {}) as JsonSchema);
    },
  };
}

interface Described {
  described: { json: JsonSchema } | { shape: GenericSchema };
}

function isDescribed(schema: object): schema is Described {
  return "described" in schema;
}

const UNNAMED = "unnamed ";

/** The schemas that describe what is checked elsewhere, and have no name in the document. */
function findUnnamed(schemas: unknown): Map<GenericSchema, string> {
  const named = new Set<unknown>(Object.values(ALL));
  const found = new Map<GenericSchema, string>();
  const seen = new Set<unknown>();
  const walk = (value: unknown) => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    if (isDescribed(value) && "shape" in value.described && !named.has(value.described.shape)) {
      found.set(value.described.shape, `${UNNAMED}${found.size}`);
    }
    for (const member of Object.values(value)) walk(member);
  };
  walk(schemas);
  return found;
}

/** Puts the schemas without a name where they are referred to. */
function inline(value: unknown, definitions: Record<string, JsonSchema>): unknown {
  if (Array.isArray(value)) return value.map((one) => inline(one, definitions));
  if (typeof value !== "object" || value === null) return value;
  const { $ref, ...others } = value as JsonSchema;
  const name = typeof $ref === "string" ? $ref.slice(refTo("").length) : "";
  const target = name.startsWith(UNNAMED) ? definitions[name] : undefined;
  const whole = target ? { ...target, ...others } : value;
  return Object.fromEntries(
    Object.entries(whole).map(([key, member]) => [key, inline(member, definitions)]),
  );
}

function orNull(schema: JsonSchema): JsonSchema {
  const { type } = schema;
  if (typeof type !== "string" || "enum" in schema) return { anyOf: [schema, { type: "null" }] };
  return { ...schema, type: [type, "null"] };
}

/** Leaves out what says nothing. */
function tidy(value: unknown, { isOpen }: { isOpen: boolean }): JsonSchema {
  if (Array.isArray(value)) return value.map((one) => tidy(one, { isOpen })) as never;
  if (typeof value !== "object" || value === null) return value as never;
  const members = Object.entries(value).filter(([key, member]) => {
    if (key === "$schema" || key === "$defs") return false;
    if (key === "required" && Array.isArray(member) && member.length === 0) return false;
    if (key === "propertyNames") return false;
    return !(isOpen && key === "additionalProperties" && member === false);
  });
  return Object.fromEntries(members.map(([key, member]) => [key, tidy(member, { isOpen })]));
}
