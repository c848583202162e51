/** Pings in both directions: dead clients are noticed, and those that ping too much are told so. */

import type { Http2Connection } from "../http2/connection.ts";
import { CODE } from "../http2/frames.ts";

export interface PingGuard {
  /** Something was sent, to which clients may well answer with a ping: grpc-go's measure their bandwidth so. */
  forgive(): void;
  /** Counts a ping of the client; true if it was one too many. */
  count(nowMs: number, load: { hasStreams: boolean }): boolean;
}

/** Pings that come too early, after which the next one is too many. */
const STRIKES_MAX = 2;
/** What counts as too early while no call is open, unless that is allowed. */
const IDLE_MIN_MS = 2 * 3600 * 1000;

/** Counts pings as grpc-go does, so that clients tuned to its servers are not surprised (gRFC A8). */
export function createPingGuard(
  { minMs, isIdleAllowed }: { minMs: number; isIdleAllowed: boolean },
): PingGuard {
  let lastMs = -Infinity;
  let strikes = 0;
  let isForgiven = false;
  return {
    forgive() {
      isForgiven = true;
    },
    count(nowMs, { hasStreams }) {
      const sinceMs = nowMs - lastMs;
      lastMs = nowMs;
      if (isForgiven) {
        isForgiven = false;
        strikes = 0;
        return false;
      }
      if (sinceMs < (hasStreams || isIdleAllowed ? minMs : IDLE_MIN_MS)) strikes++;
      return strikes > STRIKES_MAX;
    },
  };
}

/**
 * Pings the client again and again, and ends a connection that does not answer in time.
 *
 * The other end may be gone though nobody said so, and TCP alone takes a quarter of an hour to notice.
 */
export function startPings(
  connection: Http2Connection,
  { pingMs, pingTimeoutMs }: { pingMs: number; pingTimeoutMs: number },
): Disposable {
  let deadline: Timer | undefined;
  const pinging = setInterval(() => {
    if (deadline !== undefined || connection.isClosed) return;
    deadline = setTimeout(
      () => connection.destroy(CODE.noError, "no answer to a ping"),
      pingTimeoutMs,
    );
    connection.ping(() => {
      clearTimeout(deadline);
      deadline = undefined;
    });
  }, pingMs);
  return {
    [Symbol.dispose]() {
      clearInterval(pinging);
      clearTimeout(deadline);
    },
  };
}
