/** How a call that we made has ended, read from whatever tells: trailers, an HTTP status, or a reset. */

import { constants, type IncomingHttpHeaders } from "node:http2";
import { STATUS } from "./errors.ts";

/** The end of a call. Servers may use any code. */
export interface CallStatus {
  code: number;
  details: string;
}

const HTTP_STATUS: Record<number, number> = {
  400: STATUS.internal,
  401: STATUS.unauthenticated,
  403: STATUS.permissionDenied,
  404: STATUS.unimplemented,
  429: STATUS.unavailable,
  502: STATUS.unavailable,
  503: STATUS.unavailable,
  504: STATUS.unavailable,
};

/** What a reset means; any other is an internal error. */
const RESETS: Record<number, CallStatus> = {
  [constants.NGHTTP2_REFUSED_STREAM]: {
    code: STATUS.unavailable,
    details: "Stream refused by server",
  },
  [constants.NGHTTP2_CANCEL]: { code: STATUS.cancelled, details: "Call cancelled" },
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: {
    code: STATUS.resourceExhausted,
    details: "Bandwidth exhausted or memory limit exceeded",
  },
  [constants.NGHTTP2_INADEQUATE_SECURITY]: {
    code: STATUS.permissionDenied,
    details: "Protocol not secure enough",
  },
};

/** What the first headers say if they end the call; undefined if messages and trailers follow. */
export function readHeaders(
  headers: IncomingHttpHeaders,
  { isEnd }: { isEnd: boolean },
): CallStatus | undefined {
  if (headers["grpc-status"] !== undefined || isEnd) return readTrailers(headers);
  const httpStatus = Number(headers[":status"]);
  if (httpStatus !== 200) return readHttpStatus(httpStatus);
  const type = headers["content-type"] ?? "";
  if (/^application\/grpc([+;]|$)/.test(type)) return undefined;
  return { code: STATUS.unknown, details: `Received content type "${type}", which is not gRPC` };
}

/** What the last headers say. */
export function readTrailers(headers: IncomingHttpHeaders): CallStatus {
  const given = headers["grpc-status"];
  if (given === undefined) {
    const httpStatus = headers[":status"];
    if (httpStatus !== undefined) return readHttpStatus(Number(httpStatus));
    return { code: STATUS.unknown, details: "No status information received" };
  }
  const code = /^\d{1,9}$/.test(String(given)) ? Number(given) : STATUS.unknown;
  return { code, details: decodeMessage(String(headers["grpc-message"] ?? "")) };
}

/** What it means that a stream was closed before its trailers came. */
export function readReset(resetCode: number | undefined): CallStatus {
  const known = RESETS[resetCode ?? 0];
  if (known !== undefined) return known;
  const details = `Received RST_STREAM with code ${resetCode ?? 0}`;
  const isEnd = (resetCode ?? 0) === constants.NGHTTP2_NO_ERROR;
  return {
    code: STATUS.internal,
    details: isEnd ? `${details} (Call ended without gRPC status)` : details,
  };
}

function readHttpStatus(httpStatus: number): CallStatus {
  return {
    code: HTTP_STATUS[httpStatus] ?? STATUS.unknown,
    details: `Received HTTP status code ${httpStatus}`,
  };
}

/** Percent-encoded UTF-8. What is encoded wrongly is shown as it came, as the protocol wants. */
function decodeMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
