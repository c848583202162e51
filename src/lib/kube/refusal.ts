/** Turns what a Kubernetes API answers, or that it does not, into a `KubeError`. */

import { describeError, MaestroError } from "../errors.ts";
import { isObject, type JsonObject, parseJson } from "../json.ts";
import { KubeError, type RefusalCause } from "../work/kube_api.ts";

const TEXT_LENGTH_MAX = 500;

/** For answers without a Status object, such as those of a proxy. */
const REASON_OF_STATUS: Record<number, string> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  409: "Conflict",
  410: "Expired",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** What fetch calls it, and what a person would. */
const STATE_OF_CODE: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was closed",
  ENOTFOUND: "its name is unknown",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its certificate is not signed by the certificate authority given",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the certificate authority given",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the certificate authority given",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "its certificate is not signed by the certificate authority given",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  CERT_HAS_EXPIRED: "its certificate has expired",
};

/** The error for an answer that is not a success. */
export function refusalOf(status: number, text: string): KubeError {
  const body = parseStatus(text);
  const details = isObject(body?.["details"]) ? body["details"] : {};
  const said = body?.["message"];
  const message = typeof said === "string" && said !== ""
    ? said
    : text.trim().slice(0, TEXT_LENGTH_MAX) || `HTTP status ${status}`;
  // Both are 404, but only the Status for an object names it. The other means that the type is not served.
  if (status === 404 && !details["name"]) return new KubeError(404, "PathNotFound", message);
  const reason = typeof body?.["reason"] === "string" ? body["reason"] : "";
  return new KubeError(status, reason || (REASON_OF_STATUS[status] ?? "Unknown"), message, {
    causes: causesOf(details),
  });
}

function causesOf(details: JsonObject): RefusalCause[] {
  const list: unknown[] = Array.isArray(details["causes"]) ? details["causes"] : [];
  const text = (value: unknown) => typeof value === "string" ? value : "";
  return list.filter(isObject).map(({ reason, message, field }) => ({
    reason: text(reason),
    message: text(message),
    field: text(field),
  }));
}

/** The error for the Status object in a watch's ERROR event. */
export function refusalInWatch(status: JsonObject): KubeError {
  const code = typeof status["code"] === "number" ? status["code"] : 500;
  return refusalOf(code, JSON.stringify(status));
}

/** The error for a call without an answer, with status 0. */
export function unreachable(server: string, thrown: unknown): KubeError {
  // A deadline of ours, or one of our own errors, says it already.
  if (thrown instanceof KubeError) return thrown;
  if (thrown instanceof MaestroError) {
    return new KubeError(0, "NoCredentials", thrown.message, { cause: thrown });
  }
  const code = (thrown as { code?: unknown } | undefined)?.code;
  const state = STATE_OF_CODE[String(code)] ?? describeError(thrown);
  return new KubeError(0, "Unreachable", `Cannot reach Kubernetes at "${server}": ${state}`, {
    cause: thrown,
  });
}

/** The error for a call that took too long, with status 0. */
export function overdue(server: string, limitMs: number): KubeError {
  const text = `Cannot reach Kubernetes at "${server}": no answer within ${limitMs} ms`;
  return new KubeError(0, "Timeout", text);
}

/** The error for a call that was given up, with status 0. */
export function abandoned(server: string): KubeError {
  return new KubeError(0, "Aborted", `Cannot reach Kubernetes at "${server}": we are stopping`);
}

function parseStatus(text: string): JsonObject | undefined {
  try {
    const body = parseJson(text);
    return isObject(body) && body["kind"] === "Status" ? body : undefined;
  } catch {
    // Not JSON: the plain text is the message.
    return undefined;
  }
}
