/**
 * One HTTP/2 connection of a server, from its first byte to its end.
 *
 * It ends by draining, whatever the reason: the client is told to go (GOAWAY), what is under way finishes, streams
 * end as unavailable. So nothing that was accepted is lost, and clients come back by themselves.
 */

import { TIMER_MS_MAX } from "../call_at.ts";
import type { Http2Connection } from "../http2/connection.ts";
import { CODE } from "../http2/frames.ts";
import type { Http2Stream } from "../http2/stream.ts";
import type { Logger } from "../log.ts";
import { type GrpcStatus, STATUS } from "./errors.ts";
import type { GrpcLimits } from "./limits.ts";
import { createPingGuard, startPings } from "./pings.ts";
import { respondStatus, type ResponseStream } from "./response.ts";
import type { Rounds } from "./rounds.ts";

export interface Connection {
  /** Tells connections apart. */
  readonly key: symbol;
  /** Lets a call in until it leaves. False: there are too many. */
  enter(stream: Http2Stream): boolean;
  leave(stream: Http2Stream): void;
  /** Called after something was sent, on a stream that is kept or as the answer of a call. */
  sent(): void;
  /** Keeps a stream that lives until somebody ends it. One that comes while we drain is ended at once. */
  keep(stream: ResponseStream): void;
  /** Ends the connection as said above; resolves when it is closed, after some seconds at the latest. */
  drain(reason: DrainReason): Promise<void>;
  /** True once it ends that way. */
  readonly isDraining: boolean;
  /** The client has pinged. */
  pinged(): void;
  /** To be called when it is closed. */
  closed(): void;
}

export type DrainReason = "graceful_stop" | "max_age" | "cut_off";

/** What clients read when their streams end. */
const REASONS: Record<DrainReason, string> = {
  graceful_stop: "the server is shutting down",
  max_age: "the connection has reached its maximum age",
  cut_off: "the server cannot use its database",
};

/**
 * What a client may have on the way, on one stream and on all of them together: by default it is 64 KiB, the second one
 * whatever the first is, which two specs of 49 KB fill.
 */
export const WINDOW_BYTES = 1024 * 1024;

/** What calls under way may still take. */
const DRAIN_MS = 10_000;
/** Time for a client to notice, and to close; a close of ours might overtake its last messages. */
const NOTICE_MS = 1_000;

/** Watches over a new connection. */
export function openConnection(
  http2: Http2Connection,
  rounds: Rounds,
  limits: GrpcLimits,
  log: Logger,
): Connection {
  const key = Symbol("connection");
  const streams = new Set<ResponseStream>();
  const guard = createPingGuard({
    minMs: limits.clientPingMinMs,
    isIdleAllowed: limits.isPingWithoutStreamAllowed,
  });
  const closed = Promise.withResolvers<void>();
  const calls = new Set<Http2Stream>();
  let idle: (() => void) | undefined;
  let draining: Promise<void> | undefined;
  let ending: GrpcStatus | undefined;
  let sentBytes = 0;

  const pings = startPings(http2, {
    ...limits,
    repeat: (everyMs, turn) => rounds.join(everyMs, turn, key),
    expired: () => http2.destroy(CODE.noError, "no answer to a ping"),
  });
  const aging = startAging(limits.ageMs, () => void drain("max_age"));

  const untilIdle = () =>
    new Promise<void>((resolve) => {
      idle = resolve;
      if (calls.size === 0 || http2.isClosed) resolve();
    });

  const run = async (reason: DrainReason) => {
    if (http2.isClosed) return;
    http2.sayLeaving(reason);
    const status: GrpcStatus = { code: STATUS.unavailable, message: REASONS[reason] };
    ending = status;
    for (const stream of streams) stream.end(status);
    // An answer means that the client has seen it, and that nothing of its is on the way any more.
    await within(NOTICE_MS, new Promise<void>((resolve) => http2.ping(resolve)));
    http2.close();
    await within(DRAIN_MS, untilIdle());
    for (const stream of calls) if (!stream.isStarted) respondStatus(stream, status);
    await within(NOTICE_MS, closed.promise);
    http2.destroy(CODE.noError, "");
  };
  const drain = (reason: DrainReason) => {
    draining ??= run(reason);
    return draining;
  };

  return {
    key,
    enter(stream) {
      if (calls.size >= limits.callsMax) return false;
      calls.add(stream);
      return true;
    },
    leave(stream) {
      calls.delete(stream);
      if (calls.size === 0) idle?.();
    },
    sent: guard.forgive,
    keep(stream) {
      streams.add(stream);
      stream.onClose(() => streams.delete(stream));
      if (ending !== undefined) stream.end(ending);
    },
    drain,
    get isDraining() {
      return draining !== undefined;
    },
    pinged() {
      // A message that is on its way for long was sent long ago, and is still answered with pings.
      if (http2.bodyBytes > sentBytes) guard.forgive();
      sentBytes = http2.bodyBytes;
      if (!guard.count(performance.now(), { hasStreams: calls.size > 0 })) return;
      log.warn("a client pings too often", { min_ms: limits.clientPingMinMs });
      // The words that clients look for, to ping half as often from then on.
      http2.destroy(CODE.enhanceYourCalm, "too_many_pings");
    },
    closed() {
      pings[Symbol.dispose]();
      clearTimeout(aging);
      idle?.();
      closed.resolve();
    },
  };
}

/** Connections that began together do not end together: a tenth more or less. */
function startAging(ageMs: number | undefined, expire: () => void): Timer | undefined {
  if (ageMs === undefined) return undefined;
  const delayMs = ageMs * (0.9 + Math.random() / 5);
  return delayMs > TIMER_MS_MAX ? undefined : setTimeout(expire, delayMs);
}

async function within(ms: number, promise: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([promise, late.promise]);
  clearTimeout(timer);
}
