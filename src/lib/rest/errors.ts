/** What the protocol calls an error: the only place where REST's numbers and status codes are known. */

import { HTTPException } from "hono/http-exception";
import { type ErrorCode, MaestroError } from "../errors.ts";
import type { JsonObject } from "../json.ts";

const STATUS: Record<ErrorCode, number> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  conflict: 409,
  gone: 410,
  too_large: 413,
  resource_exhausted: 429,
  unavailable: 503,
  internal: 500,
};

/** The numbers that clients know, with the reason of each if nothing better is to be said. */
export const DEFAULT_REASONS: Record<number, string> = {
  1: "Invalid token provided",
  4: "Forbidden to perform this action",
  6: "An entity with the specified unique values already exists",
  7: "Resource not found",
  8: "General validation failure",
  9: "Unspecified error",
  10: "HTTP Method not implemented for this endpoint",
  11: "Account is unauthorized to perform this action",
  15: "Account authentication could not be verified",
  17: "Unable to read request body",
  21: "Bad request",
  23: "Failed to parse search query",
  26: "Database advisory lock error",
};

/** The numbers that this door uses by itself. */
export const METHOD_NOT_ALLOWED = 10;
export const BODY_UNREADABLE = 17;
export const BAD_REQUEST = 21;

/** Of what only HTTP knows. */
const NUMBER_OF_STATUS: Record<number, number> = {
  408: BODY_UNREADABLE,
  412: 6,
  413: BODY_UNREADABLE,
};

/** Overload and outages pass: clients are told when to come back. */
const RETRY_AFTER_SECONDS = "1";

/** An error as an answer. */
export interface ErrorAnswer {
  status: number;
  number: number;
  reason: string;
  headers: Record<string, string>;
}

/** What to answer for anything thrown. What nobody meant to throw says nothing of itself. */
export function explainError(thrown: unknown): ErrorAnswer {
  if (thrown instanceof HTTPException) {
    const number = NUMBER_OF_STATUS[thrown.status] ?? BAD_REQUEST;
    return { status: thrown.status, number, reason: thrown.message, headers: {} };
  }
  const error = thrown instanceof MaestroError
    ? thrown
    : new MaestroError("internal", "Internal error");
  const status = STATUS[error.code];
  const headers: Record<string, string> = {};
  if (status === 429 || status === 503) headers["Retry-After"] = RETRY_AFTER_SECONDS;
  if (status === 401) headers["WWW-Authenticate"] = 'Bearer realm="maestro"';
  return { status, number: error.peerNumber, reason: error.message, headers };
}

/** The body of an error. */
export function presentError(number: number, reason: string, operationId: string): JsonObject {
  return {
    code: `maestro-${number}`,
    href: `/api/maestro/v1/errors/${number}`,
    id: String(number),
    kind: "Error",
    operation_id: operationId,
    reason,
  };
}

/** The body of a refused login, in the shape that clients of the first releases know. */
export function presentUnauthenticated(reason: string): JsonObject {
  return {
    kind: "Error",
    id: "401",
    href: "/api/maestro/errors/401",
    code: "API-401",
    reason,
  };
}
