/**
 * One HTTP/2 connection of a server, from its first byte to its end.
 *
 * It ends by draining, whatever the reason: the client is told to go (GOAWAY), what is under way finishes, streams
 * end as unavailable. So nothing that was accepted is lost, and clients come back by themselves.
 */

import http2, { type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Logger } from "../log.ts";
import { type GrpcStatus, STATUS } from "./errors.ts";
import type { GrpcLimits } from "./limits.ts";
import { createPingGuard, startPings } from "./pings.ts";
import { respondStatus, type ResponseStream } from "./response.ts";
import type { Rounds } from "./rounds.ts";
import { watchWindows } from "./windows.ts";

export interface Connection {
  /** Tells connections apart. */
  readonly key: symbol;
  /** Lets a call in until it leaves. False: there are too many. */
  enter(stream: ServerHttp2Stream): boolean;
  leave(stream: ServerHttp2Stream): void;
  /** Called after something was sent, on a stream that is kept or as the answer of a call. */
  sent(by?: ResponseStream): void;
  /** Keeps a stream that lives until somebody ends it. One that comes while we drain is ended at once. */
  keep(stream: ResponseStream): void;
  /** Ends the connection as said above; resolves when it is closed, after some seconds at the latest. */
  drain(reason: DrainReason): Promise<void>;
  /** True once it ends that way. */
  readonly isDraining: boolean;
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
/** The highest id: the client may still send what it has begun to send. */
const EVERY_STREAM = 2 ** 31 - 1;
/** What answers to pings and the like take between two pings; whatever is more was data. */
const CONTROL_BYTES_MAX = 1024;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Watches over a new connection. */
export function openConnection(
  session: ServerHttp2Session,
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
  const calls = new Set<ServerHttp2Stream>();
  let idle: (() => void) | undefined;
  let draining: Promise<void> | undefined;
  let ending: GrpcStatus | undefined;

  session.setLocalWindowSize(WINDOW_BYTES);
  watchWindows(session, () => [...calls].map(({ id }) => id ?? 0));
  const pings = startPings(session, {
    ...limits,
    repeat: (everyMs, turn) => rounds.join(everyMs, turn, key),
    expired: () => session.destroy(),
  });
  const greeting = setTimeout(() => {
    log.debug("a client said nothing", { within_ms: limits.connectionTimeoutMs });
    session.destroy();
  }, limits.connectionTimeoutMs);
  const aging = startAging(limits.ageMs, () => void drain("max_age"));
  session.once("remoteSettings", () => clearTimeout(greeting));
  session.on("error", (error) => log.debug("a connection failed", { error }));
  session.once("close", () => {
    pings[Symbol.dispose]();
    clearTimeout(greeting);
    clearTimeout(aging);
    idle?.();
    closed.resolve();
  });
  let writtenBytes = 0;
  session.on("ping", () => {
    // A message that is on its way for long was sent long ago, and is still answered with pings.
    const nowBytes = session.socket?.bytesWritten ?? 0;
    if (nowBytes - writtenBytes > CONTROL_BYTES_MAX) guard.forgive();
    writtenBytes = nowBytes;
    if (!guard.count(performance.now(), { hasStreams: calls.size > 0 })) return;
    log.warn("a client pings too often", { min_ms: limits.clientPingMinMs });
    // The words that clients look for, to ping half as often from then on. 0 stands for the last stream begun.
    const words = Buffer.from("too_many_pings");
    session.goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, words);
    // Once it has left: what is still to be written when a session is destroyed is dropped.
    setImmediate(() => session.destroy());
  });

  let nudging: "no" | "once" | "again" = "no";
  // While a stream waits for its client, Bun keeps back what the others of its connection have, until any frame comes.
  const nudge = () => {
    if (nudging !== "no") nudging = "again";
    else if (!session.destroyed) {
      nudging = "once";
      session.ping(() => {
        const isAgain = nudging === "again";
        nudging = "no";
        if (isAgain) nudge();
      });
    }
  };

  const untilIdle = () =>
    new Promise<void>((resolve) => {
      idle = resolve;
      if (calls.size === 0 || session.destroyed) resolve();
    });

  const run = async (reason: DrainReason) => {
    if (session.destroyed) return;
    session.goaway(http2.constants.NGHTTP2_NO_ERROR, EVERY_STREAM, Buffer.from(reason));
    const status: GrpcStatus = { code: STATUS.unavailable, message: REASONS[reason] };
    ending = status;
    for (const stream of streams) stream.end(status);
    // An answer means that the client has seen it, and that nothing of its is on the way any more.
    await within(NOTICE_MS, new Promise<void>((resolve) => session.ping(() => resolve())));
    if (!session.destroyed) session.close();
    await within(DRAIN_MS, untilIdle());
    for (const stream of calls) if (!stream.headersSent) respondStatus(stream, status);
    await within(NOTICE_MS, closed.promise);
    session.destroy();
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
    sent(by) {
      guard.forgive();
      for (const stream of streams) {
        if (stream !== by && stream.hasUnsent) return nudge();
      }
    },
    keep(stream) {
      streams.add(stream);
      stream.onClose(() => streams.delete(stream));
      if (ending !== undefined) stream.end(ending);
    },
    drain,
    get isDraining() {
      return draining !== undefined;
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
