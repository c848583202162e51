/** The OpenAPI document: the table of routes, with what is said of each. */

import packageFile from "../../package.json";
import { ROUTES } from "../../src/lib/rest/route_table.ts";
import type { JsonSchema } from "../../src/lib/rest/schemas/members.ts";
import { ERROR, LOGIN_REFUSED } from "./examples.ts";
import {
  type Answer,
  type AnyOperations,
  type Content,
  type Operation,
  TAGS,
} from "./operation.ts";
import { ABOUT } from "./operations_about.ts";
import { BUNDLES } from "./operations_bundles.ts";
import { CONSUMERS } from "./operations_consumers.ts";
import { EVENTS } from "./operations_events.ts";
import { RESOURCES } from "./operations_resources.ts";
import { HEADER_NAMES, type HeaderName, HEADERS, PARAMETERS } from "./parameters.ts";
import { documentSchemas, schemaRef } from "./schemas.ts";

/** Each path of the table must be here: this does not compile if one is missing. */
const OPERATIONS: { [Path in keyof typeof ROUTES]: object } & AnyOperations = {
  ...RESOURCES,
  ...BUNDLES,
  ...CONSUMERS,
  ...EVENTS,
  ...ABOUT,
};

const DESCRIPTION =
  `Where the server asks for a login, send a token: \`Authorization: Bearer …\`, or the cookie
\`cs_jwt\`. A change by cookie that another site has sent is refused.

Names of members are exact, and unknown ones are refused. Null counts as left out. Members that the
server sets may be sent back as they were read. Numbers keep their digits. Every \`GET\` may be a
\`HEAD\`. Of another method than those here the answer is 405, with \`Allow\`.`.replaceAll(
    /(?<!\n)\n(?!\n)/g,
    " ",
  );

/** What any request may be answered with. */
const ANY_ERROR: Record<number, string> = {
  406: "The client accepts nothing that is answered here.",
  429: "Too much is under way: come back.",
  431: "Address and headers are larger than 32 KiB.",
  500: "What nobody expected; the log tells of it by the operation id.",
  503: "The database is away for a moment, or the answer took too long: come back.",
};

/** Writes the document. */
export function createDocument(): JsonSchema {
  const paths = Object.keys(ROUTES).map((path) => [
    path.replace(/:id$/, "{id}"),
    Object.fromEntries(
      Object.entries(OPERATIONS[path] ?? {}).map((
        [method, operation],
      ) => [method.toLowerCase(), writeOperation(path, method, operation)]),
    ),
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Maestro",
      version: packageFile.version,
      summary: packageFile.description,
      description: DESCRIPTION,
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The server that answers with this document." }],
    security: [{ bearer: [] }, { cookie: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        cookie: { type: "apiKey", in: "cookie", name: "cs_jwt" },
      },
      parameters: PARAMETERS,
      headers: HEADERS,
      responses: writeErrors(),
      schemas: documentSchemas(),
    },
  };
}

function writeOperation(path: string, method: string, operation: Operation): JsonSchema {
  const { id, tag, summary, description, parameters = [], body, answers, isPublic } = operation;
  const refused = { ...ANY_ERROR, ...(!isPublic && LOGIN), ...operation.errors };
  const isChange = method !== "GET";
  if (isChange && !(403 in refused)) Object.assign(refused, { 403: "The token may only look." });
  const names = new Set<string>([...parameters, "operationId"]);
  if (path.endsWith(":id") !== (names.has("id") || names.has("errorId"))) {
    throw new Error(`${method} ${path}: its parameters must be those of its path`);
  }
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(isPublic && { security: [] }),
    parameters: [...names].map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ...(body && { requestBody: { required: true, content: writeContent(body) } }),
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([status, answer]) => [status, writeAnswer(answer)]),
      ...Object.entries(refused).map(([status, says]) => [status, writeError(status, says)]),
    ]),
  };
}

const LOGIN = { 401: "There is no token, or it cannot be taken." };

function writeAnswer({ says, content, headers = [] }: Answer): JsonSchema {
  return {
    description: says,
    headers: writeHeaders(["OperationId", ...headers]),
    ...(content && { content: writeContent(content) }),
  };
}

function writeHeaders(headers: readonly HeaderName[]): JsonSchema {
  return Object.fromEntries(
    headers.map((name) => [HEADER_NAMES[name], { $ref: `#/components/headers/${name}` }]),
  );
}

function writeContent(content: Content): JsonSchema {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, examples }]) => [type, {
      schema: typeof schema === "string" ? schemaRef(schema) : schema,
      ...(examples !== undefined && {
        examples: Object.fromEntries(
          Object.entries(examples as object).map(([name, value]) => [name, { value }]),
        ),
      }),
    }]),
  );
}

/** A refusal; those that say the same everywhere are components. */
function writeError(status: string, says: string): JsonSchema {
  if (status in ANY_ERROR || status in LOGIN) return { $ref: `#/components/responses/${status}` };
  return errorAnswer(status, says);
}

function writeErrors(): JsonSchema {
  return Object.fromEntries([
    ...Object.entries({ ...LOGIN, ...ANY_ERROR, 405: "The path has no such method." }).map((
      [status, says],
    ) => [status, errorAnswer(status, says)]),
  ]);
}

const HEADERS_OF_STATUS: Record<string, HeaderName> = {
  401: "Authenticate",
  405: "Allow",
  429: "RetryAfter",
  503: "RetryAfter",
};

function errorAnswer(status: string, says: string): JsonSchema {
  const isLogin = status === "401";
  const header = HEADERS_OF_STATUS[status];
  const value = isLogin ? LOGIN_REFUSED : status === "404" ? ERROR : undefined;
  // What is far too large is refused before anybody has read it, with nothing.
  if (status === "431") return { description: says };
  return writeAnswer({
    says,
    ...(header && { headers: [header] }),
    content: {
      "application/json": {
        schema: isLogin ? "LoginRefused" : "Error",
        ...(value && { examples: { refused: value } }),
      },
    },
  });
}
