/**
 * A gRPC client on HTTP/2 of our own: one connection to a server, and calls over it.
 *
 * It connects once. However the connection ends, each of its calls ends as unavailable, and so does every later one: who wants
 * another connection opens another channel.
 */

import net, { type Socket } from "node:net";
import type { TlsFiles } from "../broker_config_file.ts";
import { TIMER_MS_MAX } from "../call_at.ts";
import { connectHttp2 } from "../http2/client.ts";
import type { ClientEvents } from "../http2/client_connection.ts";
import { CODE, Http2Error } from "../http2/frames.ts";
import { createCallHeads } from "./call_heads.ts";
import type { CallStatus } from "./call_status.ts";
import { type CallEvents, type CallRequest, type ClientCall, startCall } from "./client_call.ts";
import { WINDOW_BYTES } from "./connection.ts";
import { STATUS } from "./errors.ts";
import { startPings } from "./pings.ts";

export interface ServerEnd {
  host: string;
  port: number;
  /** Plain text without it. Without an authority in it, the system's are trusted. */
  tls?: TlsFiles;
}

export interface KeepAlive {
  timeMs: number;
  timeoutMs: number;
  permitWithoutStream: boolean;
}

export interface ChannelOptions {
  keepAlive?: KeepAlive;
  /** The server wants its clients to go: it takes no more calls. Those under way may go on for a while. */
  sentAway(reason: string): void;
  /** What it may take until the server speaks HTTP/2; 30 s unless given. */
  connectTimeoutMs?: number;
  /** A connection that leads to the server already, through a proxy. */
  tunnel?: Socket;
}

export interface Channel {
  /** Resolves when the server speaks HTTP/2; never, if it does not. */
  ready: Promise<void>;
  /** Calls a method, at once or when the server takes one more. */
  call(
    path: string,
    headers: Record<string, string>,
    request: CallRequest,
    events: CallEvents,
  ): ClientCall;
  /** Takes no more calls, and disconnects when those under way have ended. */
  close(): void;
}

/**
 * More than the agent's own patience with a silent server, unless that is set higher: to one to which thousands come at once,
 * who gives up too early comes back as one more of them.
 */
export const CONNECT_MS = 30_000;
/** What calls may still take once the channel is closed: all that have an end, have it by then. */
const CLOSE_MS = 40_000;
/** A server that says goodbye ends the streams itself in this time, and says why; or it leaves that to us. */
const GOODBYE_MS = 1_000;
/** What a server may say before and after its messages. */
const HEADER_BYTES_MAX = 64 * 1024;

const CLOSED: CallStatus = { code: STATUS.unavailable, details: "Channel closed" };
const FULL: CallStatus = {
  code: STATUS.unavailable,
  details: "The server takes no more calls on this connection",
};

/** Starts to connect. */
export function openChannel(server: ServerEnd, options: ChannelOptions): Channel {
  const { keepAlive, sentAway, connectTimeoutMs = CONNECT_MS, tunnel } = options;
  const calls = new Set<ClientCall>();
  const ready = Promise.withResolvers<void>();
  let [isReady, isClosing] = [false, false];
  let lost: CallStatus | undefined;
  let reason: string | undefined;
  let pings: Disposable | undefined;
  let goodbye: Timer | undefined;

  const lose = (details: string) => {
    if (lost !== undefined) return;
    lost = { code: STATUS.unavailable, details };
    clearTimeout(deadline);
    clearTimeout(goodbye);
    pings?.[Symbol.dispose]();
    for (const call of [...calls]) call.end(lost);
    http2.destroy(CODE.noError, "");
  };
  const dropped = () => {
    if (isReady) {
      lose(reason === undefined ? "Connection dropped" : `Connection dropped: ${reason}`);
    } else lose(`No connection established. Last error: ${reason ?? "Failed to connect"}`);
  };
  const expire = (details: string) => {
    reason = details;
    dropped();
  };
  let deadline = setTimeout(
    () => expire(`no answer within ${connectTimeoutMs / 1_000} s`),
    connectTimeoutMs,
  );

  const events: ClientEvents = {
    ready() {
      isReady = true;
      if (!isClosing) clearTimeout(deadline);
      if (keepAlive !== undefined) {
        pings = startPings(http2, {
          pingMs: Math.min(keepAlive.timeMs, TIMER_MS_MAX),
          pingTimeoutMs: Math.min(keepAlive.timeoutMs, TIMER_MS_MAX),
          isDue: () => keepAlive.permitWithoutStream || calls.size > 0,
          expired: () => expire(`no answer to a ping within ${keepAlive.timeoutMs} ms`),
        });
      }
      ready.resolve();
    },
    sentAway(code, words) {
      if (code !== CODE.noError) expire(readGoodbye(code, words));
      else goodbye ??= setTimeout(() => sentAway("the server sends its clients away"), GOODBYE_MS);
    },
    pinged() {},
    failed(error) {
      reason ??= error instanceof Http2Error ? `Protocol error: ${error.message}` : error.message;
    },
    closed: dropped,
  };
  const http2 = connectHttp2(
    {
      ...server,
      tunnel,
      limits: { windowBytes: WINDOW_BYTES, headerBytesMax: HEADER_BYTES_MAX },
    },
    events,
  );
  const headOf = createCallHeads(server.tls === undefined ? "http" : "https", authorityOf(server));

  return {
    ready: ready.promise,
    call(path, headers, request, events) {
      const refused = lost ?? (isClosing ? CLOSED : undefined);
      if (refused !== undefined) return endLater(refused, events);
      const head = headOf(path, headers, request.timeoutMs);
      if (head.listBytes > http2.headerBytesMax()) {
        const details =
          `The headers have ${head.listBytes} bytes, and the server takes ${http2.headerBytesMax()}`;
        return endLater({ code: STATUS.internal, details }, events);
      }
      const stream = http2.request(head.block);
      if (stream === undefined) return endLater(FULL, events);
      const call = startCall(stream, request, {
        ...events,
        ended(status) {
          calls.delete(call);
          events.ended(status);
        },
      });
      calls.add(call);
      return call;
    },
    close() {
      if (isClosing || lost !== undefined) return;
      isClosing = true;
      if (!isReady) return lose("Channel closed");
      clearTimeout(goodbye);
      deadline = setTimeout(() => lose("Channel closed"), CLOSE_MS);
      http2.close();
    },
  };
}

function readGoodbye(code: number, words: string): string {
  return words === "" ? `the server ended it with code ${code}` : `the server said "${words}"`;
}

/** A call that never begins. Nobody is called back before its own call returns. */
function endLater(status: CallStatus, events: CallEvents): ClientCall {
  queueMicrotask(() => events.ended(status));
  return { end() {} };
}

/** `host:port`, an address of IPv6 in brackets. */
export function authorityOf({ host, port }: ServerEnd): string {
  return `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
}
