/** What gRPC calls the things that go wrong. */

import { type ErrorCode, MaestroError } from "../errors.ts";

/** The status codes that Maestro answers with (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export type StatusCode = typeof STATUS[keyof typeof STATUS];

export interface GrpcStatus {
  code: StatusCode;
  message?: string;
}

/** An error whose code and text go to the caller as they are. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";

  constructor(readonly status: StatusCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** What gRPC calls an error; undefined for one that nobody meant to throw. */
export function statusOf(error: unknown): GrpcStatus | undefined {
  if (error instanceof GrpcError) return { code: error.status, message: error.message };
  return undefined;
}

/**
 * What sources get. The Go server answers every refusal with Unknown and a text, which its clients look into;
 * what is no refusal, but a state of the server or of the caller's credentials, has its own code.
 */
const SOURCE_STATUS: Record<ErrorCode, StatusCode> = {
  invalid_argument: STATUS.unknown,
  not_found: STATUS.unknown,
  conflict: STATUS.unknown,
  gone: STATUS.outOfRange,
  permission_denied: STATUS.unknown,
  unauthenticated: STATUS.unauthenticated,
  too_large: STATUS.resourceExhausted,
  resource_exhausted: STATUS.resourceExhausted,
  unavailable: STATUS.unavailable,
  internal: STATUS.internal,
};

/** What agents get, with the codes of the Go broker. */
const AGENT_STATUS: Record<ErrorCode, StatusCode> = {
  invalid_argument: STATUS.invalidArgument,
  not_found: STATUS.failedPrecondition,
  conflict: STATUS.failedPrecondition,
  gone: STATUS.outOfRange,
  permission_denied: STATUS.permissionDenied,
  unauthenticated: STATUS.unauthenticated,
  too_large: STATUS.resourceExhausted,
  resource_exhausted: STATUS.resourceExhausted,
  unavailable: STATUS.unavailable,
  internal: STATUS.internal,
};

/**
 * The refusal of a source's request: `failed to <verb> resource: maestro-<n>: <reason>`.
 * Anything unexpected is thrown as it is.
 */
export function refuseSource(error: unknown, verb: string): unknown {
  if (!(error instanceof MaestroError)) return error;
  const message = `failed to ${verb}: maestro-${error.peerNumber}: ${error.message}`;
  return new GrpcError(SOURCE_STATUS[error.code], message, { cause: error });
}

/** The refusal of something that could not be read, in the words of the codec. */
export function refuseSourceInput(error: unknown): unknown {
  if (!(error instanceof MaestroError)) return error;
  return new GrpcError(SOURCE_STATUS[error.code], error.message, { cause: error });
}

/** The refusal of an agent's request. */
export function refuseAgent(error: unknown): unknown {
  if (!(error instanceof MaestroError)) return error;
  return new GrpcError(AGENT_STATUS[error.code], error.message, { cause: error });
}
