/** What Connect and gRPC-Web call the things that go wrong. */

import { Code, ConnectError } from "@connectrpc/connect";
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

/** What to answer for anything thrown. What nobody meant to throw says nothing of itself. */
export function toConnectError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof MaestroError) return explain(thrown);
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
