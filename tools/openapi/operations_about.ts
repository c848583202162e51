/** Operations that need no token. */

import { DEFAULT_REASONS } from "../../src/lib/rest/errors.ts";
import { page } from "./examples.ts";
import { json, type Operations } from "./operation.ts";

const errorOf = (number: number) => ({
  code: `maestro-${number}`,
  href: `/api/maestro/v1/errors/${number}`,
  id: String(number),
  kind: "Error",
  operation_id: "",
  reason: DEFAULT_REASONS[number],
});

const HELD = { says: "The client holds it already.", headers: ["ETag"] } as const;

export const ABOUT: Operations<
  | "/api/maestro"
  | "/api/maestro/v1"
  | "/api/maestro/v1/openapi"
  | "/api/maestro/v1/errors"
  | "/api/maestro/v1/errors/:id"
> = {
  "/api/maestro": {
    GET: {
      id: "getApi",
      tag: "About",
      summary: "The versions of this API",
      answers: { 200: { says: "The versions.", content: json("ApiMetadata") } },
      isPublic: true,
    },
  },
  "/api/maestro/v1": {
    GET: {
      id: "getVersion",
      tag: "About",
      summary: "The collections of this version",
      answers: { 200: { says: "The collections.", content: json("VersionMetadata") } },
      isPublic: true,
    },
  },
  "/api/maestro/v1/openapi": {
    GET: {
      id: "getOpenapi",
      tag: "About",
      summary: "This document",
      description: "As JSON, as YAML, or as a page to read in a browser.",
      parameters: ["format", "ifNoneMatch"],
      answers: {
        200: {
          says: "The document.",
          headers: ["ETag"],
          content: {
            "application/json": { schema: { type: "object", required: ["openapi", "paths"] } },
            "application/yaml": { schema: { type: "object", required: ["openapi", "paths"] } },
            "text/html": { schema: { type: "string" } },
          },
        },
        304: HELD,
      },
      errors: { 400: "The format is not known." },
      isPublic: true,
    },
  },
  "/api/maestro/v1/errors": {
    GET: {
      id: "listErrors",
      tag: "About",
      summary: "The kinds of errors",
      parameters: ["page", "size"],
      answers: {
        200: {
          says: "A page of them.",
          content: json("ErrorList", { list: page("ErrorList", [errorOf(6), errorOf(7)]) }),
        },
      },
      errors: { 400: "A parameter is not what it must be." },
      isPublic: true,
    },
  },
  "/api/maestro/v1/errors/:id": {
    GET: {
      id: "getError",
      tag: "About",
      summary: "One kind of error",
      parameters: ["errorId"],
      answers: { 200: { says: "The error.", content: json("Error", { error: errorOf(7) }) } },
      errors: { 404: "There is no error with this number." },
      isPublic: true,
    },
  },
};
