/** What Connect and gRPC-Web call the things that go wrong. */

import { Code, ConnectError } from "@connectrpc/connect";
import { HTTPException } from "hono/http-exception";
import { WatchEndSchema } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import { type ErrorCode, MaestroError } from "../../errors.ts";

const CODE: Record<ErrorCode, Code> = {
  invalid_argument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  // Read again and decide anew: the same call does not become right by itself.
  conflict: Code.Aborted,
  gone: Code.OutOfRange,
  too_large: Code.ResourceExhausted,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  internal: Code.Internal,
};

/** What REST itself says of a body: it comes too slowly, or is too large. */
const HTTP_CODES: Record<number, Code> = {
  408: Code.DeadlineExceeded,
  413: Code.ResourceExhausted,
};

/** What to answer for anything thrown. What nobody meant to throw says nothing of itself. */
export function toConnectError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof MaestroError) return explain(thrown);
  if (thrown instanceof HTTPException) {
    const code = HTTP_CODES[thrown.status] ?? Code.InvalidArgument;
    return new ConnectError(thrown.message, code, undefined, undefined, thrown);
  }
  return new ConnectError("Internal error", Code.Internal, undefined, undefined, thrown);
}

/** The error that ends a watch, with the place to go on from. */
export function toWatchError(thrown: unknown, cursor: string | undefined): ConnectError {
  const error = toConnectError(thrown);
  error.details.push({ desc: WatchEndSchema, value: { cursor: cursor ?? "" } });
  return error;
}

function explain(error: MaestroError): ConnectError {
  return new ConnectError(error.message, CODE[error.code], undefined, undefined, error);
}
