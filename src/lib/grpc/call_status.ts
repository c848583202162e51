/** How a call that we made has ended, read from whatever tells: trailers, an HTTP status, or a reset. */

import type { Headers } from "../http2/fields.ts";
import { CODE, type Http2Error } from "../http2/frames.ts";
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
  [CODE.refusedStream]: {
    code: STATUS.unavailable,
    details: "Stream refused by server",
  },
  [CODE.cancel]: { code: STATUS.cancelled, details: "Call cancelled" },
  [CODE.enhanceYourCalm]: {
    code: STATUS.resourceExhausted,
    details: "Bandwidth exhausted or memory limit exceeded",
  },
  [CODE.inadequateSecurity]: {
    code: STATUS.permissionDenied,
    details: "Protocol not secure enough",
  },
};

/** What the first headers say if they end the call; undefined if messages and trailers follow. */
export function readHeaders(
  headers: Headers,
  { isEnd }: { isEnd: boolean },
): CallStatus | undefined {
  if (headers.has("grpc-status") || isEnd) return readTrailers(headers);
  const httpStatus = Number(headers.get(":status"));
  if (httpStatus !== 200) return readHttpStatus(httpStatus);
  const type = headers.get("content-type") ?? "";
  if (/^application\/grpc([+;]|$)/.test(type)) return undefined;
  return { code: STATUS.unknown, details: `Received content type "${type}", which is not gRPC` };
}

/** What the last headers say. */
export function readTrailers(headers: Headers): CallStatus {
  const given = headers.get("grpc-status");
  if (given === undefined) {
    const httpStatus = headers.get(":status");
    if (httpStatus !== undefined) return readHttpStatus(Number(httpStatus));
    return { code: STATUS.unknown, details: "No status information received" };
  }
  const code = /^\d{1,9}$/.test(given) ? Number(given) : STATUS.unknown;
  return { code, details: decodeMessage(headers.get("grpc-message") ?? "") };
}

/** What it means that the server has closed a stream before its trailers came. */
export function readReset(resetCode: number): CallStatus {
  const known = RESETS[resetCode];
  if (known !== undefined) return known;
  const details = `Received RST_STREAM with code ${resetCode}`;
  return {
    code: STATUS.internal,
    details: resetCode === CODE.noError ? `${details} (Call ended without gRPC status)` : details,
  };
}

/** What it means that the server broke the rules of a stream. */
export function readFault({ message }: Http2Error): CallStatus {
  return { code: STATUS.internal, details: `Protocol error: ${message}` };
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
