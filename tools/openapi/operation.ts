/** How an operation is written down, and the words that many of them share. */

import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";
import type { Method, MethodOf, RoutePath } from "../../src/lib/rest/route_table.ts";
import type { HeaderName, ParameterName } from "./parameters.ts";
import type { SchemaName } from "./schemas.ts";

/** The groups, in the order in which they are shown. */
export const TAGS = {
  Resources: "One Kubernetes object each, on one cluster.",
  "Resource bundles":
    "Several objects that are applied and reported together: what sources publish over gRPC, and " +
    "what is made here.",
  Consumers: "The clusters that receive resources.",
  CloudEvents: "The same changes as events, for those who speak CloudEvents over HTTP.",
  About: "What this API is, and what its errors mean. Nobody needs a token here.",
} as const;

/** A body or an answer, by its media type. */
export type Content = Record<string, { schema: SchemaName | JsonSchema; examples?: unknown }>;

export interface Answer {
  says: string;
  content?: Content;
  headers?: readonly HeaderName[];
}

/** An error's status. Those that any request may get are added. */
export type ErrorStatus = 400 | 403 | 404 | 409 | 410 | 412 | 413 | 415 | 422;

export interface Operation {
  id: string;
  tag: keyof typeof TAGS;
  /** A few words. */
  summary: string;
  /** What the summary leaves out. */
  description?: string;
  parameters?: readonly ParameterName[];
  body?: Content;
  answers: Record<number, Answer>;
  /** What is refused, and why: a text where the usual one says too little. */
  errors?: Partial<Record<ErrorStatus, string>>;
  isPublic?: boolean;
}

/** The operations of some paths; each must be there. */
export type Operations<Path extends RoutePath> = {
  [One in Path]: Record<MethodOf<One>, Operation>;
};

/** Operations as they are read, whatever their path. */
export type AnyOperations = Record<string, Partial<Record<Method, Operation>>>;

/** JSON by a schema, with examples by name. */
export function json(schema: SchemaName, examples?: Record<string, unknown>): Content {
  return { "application/json": { schema, ...(examples && { examples }) } };
}

/** The same in JSON and in YAML, which is shown by an example of its own. */
export function jsonOrYaml(
  schema: SchemaName | JsonSchema,
  examples: Record<string, unknown>,
  yaml?: string,
): Content {
  return {
    "application/json": { schema, examples },
    "application/yaml": { schema, ...(yaml !== undefined && { examples: { yaml } }) },
  };
}

export const NOT_THERE = "There is no such resource.";
export const BODY_ERRORS = {
  413: "The body is larger than 4 MiB.",
  415: "The body is of another type.",
} as const;
export const KEY_REUSED = "The Idempotency-Key was used for another request.";
