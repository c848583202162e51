/** What a server's refusal of a publish means to the agent. */

import { type ErrorCode, MaestroError } from "../errors.ts";
import { isObject } from "../json.ts";
import type { CallStatus } from "./call_status.ts";
import { STATUS } from "./errors.ts";

const CODES: Record<number, ErrorCode> = {
  [STATUS.invalidArgument]: "invalid_argument",
  [STATUS.unauthenticated]: "unauthenticated",
  [STATUS.permissionDenied]: "permission_denied",
  [STATUS.notFound]: "not_found",
  [STATUS.failedPrecondition]: "conflict",
  [STATUS.resourceExhausted]: "resource_exhausted",
  [STATUS.unavailable]: "unavailable",
  [STATUS.deadlineExceeded]: "unavailable",
  [STATUS.cancelled]: "unavailable",
};

/** What Kubernetes calls them, which is what a Go server puts into its message. */
const HTTP_CODES: Record<number, ErrorCode> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "permission_denied",
  404: "not_found",
  409: "conflict",
  422: "invalid_argument",
  429: "resource_exhausted",
  503: "unavailable",
};

/** Makes an error of ours from how a call ended. */
export function readRefusal({ code: status, details }: CallStatus): MaestroError {
  const told = readErrStatus(details);
  // The words of every gRPC server; trying again would not help, as it does with other exhausted resources.
  const isTooLarge = status === STATUS.resourceExhausted && /larger than max/.test(details);
  const code = isTooLarge ? "too_large" : told?.code ?? CODES[status] ?? "internal";
  const reason = told?.reason ?? (details || `the server gives gRPC status ${status} alone`);
  return new MaestroError(code, `Cannot publish: ${reason}`);
}

/**
 * Reads a message that is JSON. The Go broker sends Kubernetes' Status as `{"ErrStatus":{…}}`, and of any other
 * error only `{}`: its text is lost.
 */
function readErrStatus(details: string): { code?: ErrorCode; reason: string } | undefined {
  if (!details.startsWith("{")) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(details);
  } catch {
    // A text that begins like JSON is a text.
    return undefined;
  }
  const status = isObject(body) ? body["ErrStatus"] : undefined;
  if (!isObject(status)) return { reason: `the server gives no reason (${details})` };
  const reason = typeof status["message"] === "string" ? status["message"] : details;
  const code = HTTP_CODES[Number(status["code"])];
  return code === undefined ? { reason } : { code, reason };
}
