/** The parameters and headers of the document, each said once. */

import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  description: string;
  required?: boolean;
  schema: JsonSchema;
  example?: unknown;
  allowEmptyValue?: boolean;
}

const BOOLEAN = { type: "boolean", default: false };
const PAGE_MAX = 2_147_483_647;
const WHOLE = { type: "integer", minimum: -PAGE_MAX, maximum: PAGE_MAX };

const query = (name: string, description: string, schema: JsonSchema, example?: unknown) => {
  const parameter = { name, in: "query" as const, description, schema };
  return example === undefined ? parameter : { ...parameter, example };
};
const header = (name: string, description: string, schema: JsonSchema): Parameter => {
  return { name, in: "header", description, schema };
};

const SEARCH =
  "What must hold of the items: `consumer_name = 'cluster1' and (version > 2 or name like 'web-%')`. " +
  "Columns, `=`, `!=`, `<`, `<=`, `>`, `>=`, `like`, `ilike`, `in (…)`, `between`, `is null`, " +
  "regular expressions by `~=` and `~!`, `and`, `or`, `not` and parentheses; into documents by " +
  "`->`, `->>` and `@>`, as in `metadata->'labels' @> '{\"app\":\"web\"}'`.";

/** The parameters of requests. */
export const PARAMETERS = {
  id: {
    name: "id",
    in: "path",
    required: true,
    description: "What the object is called.",
    schema: { type: "string", minLength: 1, pattern: "^[^/\\u0000]+$" },
  },
  errorId: {
    name: "id",
    in: "path",
    required: true,
    description: "The number of an error.",
    schema: { type: "string", enum: "1 4 6 7 8 9 10 11 15 17 21 23 26".split(" ") },
    example: "7",
  },
  page: {
    ...query("page", "Which page; below 1 it is the first.", { ...WHOLE, default: 1 }),
    allowEmptyValue: true,
  },
  size: {
    ...query(
      "size",
      "Items of a page. 0 asks for `total` only, a negative number for as many as there may be, " +
        "65,500.",
      { ...WHOLE, default: 100 },
    ),
    allowEmptyValue: true,
  },
  limit: {
    ...query(
      "limit",
      "Items of a page of a walk by `continue`, which loses and repeats none while others change the " +
        "list. Does not go with `page` and `size`.",
      { type: "integer", minimum: 1, maximum: 65_500 },
    ),
    allowEmptyValue: true,
  },
  continue: query(
    "continue",
    "Where the walk goes on: `continue` of the page before. Search and order must be the same.",
    { type: "string" },
  ),
  search: query("search", SEARCH, { type: "string", maxLength: 20_000 }),
  orderBy: query(
    "orderBy",
    "Columns, each with `asc` or `desc`, separated by commas. Oldest first if left out.",
    { type: "string" },
    "created_at desc",
  ),
  fields: query(
    "fields",
    "Only these members, separated by commas; `id` is always there. A dot leads into a member: " +
      "`status.ReconcileStatus`.",
    { type: "string" },
    "id,name,version",
  ),
  watch: query(
    "watch",
    "Tells of every change, as server-sent events, in place of a list.",
    { type: "string", enum: ["true", "false", "1", "0"], default: "false" },
  ),
  cursor: query("cursor", "Watch on from here: the `id` of an event.", { type: "string" }),
  lastEventId: header("Last-Event-ID", "The same as `cursor`, and wins; browsers send it.", {
    type: "string",
  }),
  dryRun: query("dryRun", "Checks everything and stores nothing.", BOOLEAN),
  abandon: query(
    "abandon",
    "No longer wait for the agent of a cluster that never comes back: what is on it stays there. " +
      "Who asked is recorded. Not for the token of a source.",
    BOOLEAN,
  ),
  consumerName: query(
    "consumer_name",
    "The cluster, if the body is manifests as kubectl takes them.",
    { type: "string" },
  ),
  bundleName: query("name", "The bundle's name, if the body is manifests.", { type: "string" }),
  format: query("format", "The same as `Accept`, and wins.", {
    type: "string",
    enum: ["json", "yaml", "html"],
  }),
  operationId: header(
    "X-Operation-ID",
    "Names the request in answers and logs: 1 to 128 printable characters. Made if left out.",
    { type: "string" },
  ),
  idempotencyKey: header(
    "Idempotency-Key",
    "Whoever got no answer sends the same again with the same key, and gets the answer of the " +
      "first. Kept for a day, for each caller.",
    { type: "string", minLength: 1, maxLength: 255, pattern: "^[!-~]+$" },
  ),
  ifMatch: header(
    "If-Match",
    "The ETag of what was seen, or `*`. If something else is stored the answer is 412. A status " +
      "that has come meanwhile is no reason to refuse.",
    {
      type: "string",
      pattern: '^(\\*|(W/)?"[1-9][0-9]{0,9}(-[0-9a-z]{1,13}(-[0-9a-f]+)?)?")$',
    },
  ),
  ifNoneMatch: header("If-None-Match", "ETags that the client holds: then the answer is 304.", {
    type: "string",
  }),
  mustBeNew: header("If-None-Match", "`*`: only if nothing is there yet.", {
    type: "string",
    enum: ["*"],
  }),
} as const satisfies Record<string, Parameter>;

export type ParameterName = keyof typeof PARAMETERS;

const TEXT = { type: "string" };

/** The headers of answers. */
export const HEADERS = {
  OperationId: { description: "Names the request in logs.", schema: TEXT },
  ETag: {
    description: "What is stored, and what is shown of it: for `If-Match` and `If-None-Match`.",
    schema: TEXT,
  },
  Location: { description: "The path of what was created.", schema: TEXT },
  RetryAfter: { description: "Seconds until it is worth another try.", schema: TEXT },
  Allow: { description: "The methods of this path.", schema: TEXT },
  Authenticate: { description: "How to log in.", schema: TEXT },
  Replayed: {
    description: "`true` if this is the answer of an earlier request with the same key.",
    schema: TEXT,
  },
} as const;

export type HeaderName = keyof typeof HEADERS;

/** What each header is called in an answer. */
export const HEADER_NAMES: Record<HeaderName, string> = {
  OperationId: "X-Operation-ID",
  ETag: "ETag",
  Location: "Location",
  RetryAfter: "Retry-After",
  Allow: "Allow",
  Authenticate: "WWW-Authenticate",
  Replayed: "Idempotency-Replayed",
};
