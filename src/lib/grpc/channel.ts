/**
 * A gRPC client on bare `node:http2`: one connection to a server, and calls over it.
 *
 * It connects once. However the connection ends, each of its calls ends as unavailable, and so does every later one: who wants
 * another connection opens another channel.
 */

import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import net, { type Socket } from "node:net";
import tls from "node:tls";
import type { TlsFiles } from "../broker_config_file.ts";
import { describeError } from "../errors.ts";
import type { CallStatus } from "./call_status.ts";
import { type CallEvents, type CallRequest, type ClientCall, startCall } from "./client_call.ts";
import { WINDOW_BYTES } from "./connection.ts";
import { STATUS } from "./errors.ts";
import { gatherSocketWrites } from "./gathered_writes.ts";
import { startPings } from "./pings.ts";
import { exposeSocketReads, watchServerWindows } from "./windows.ts";

export interface ServerEnd {
  host: string;
  port: number;
  /** Plain text without it. Without an authority in it, the system's are trusted. */
  tls?: TlsFiles;
}

export interface ChannelOptions {
  keepAlive?: { timeMs: number; timeoutMs: number; permitWithoutStream: boolean };
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
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Starts to connect. */
export function openChannel(server: ServerEnd, options: ChannelOptions): Channel {
  const { keepAlive, sentAway, connectTimeoutMs = CONNECT_MS, tunnel } = options;
  const authority = authorityOf(server);
  const scheme = server.tls === undefined ? "http" : "https";
  const socket = connectSocket(server, tunnel);
  gatherSocketWrites(socket);
  const showReads = exposeSocketReads(
    socket,
    server.tls !== undefined ? "secureConnect" : tunnel === undefined ? "connect" : undefined,
  );
  const session = http2.connect(`${scheme}://${authority}`, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
  });
  showReads(session);
  const calls = new Map<ClientHttp2Stream, ClientCall>();
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
    const status = lost;
    // A turn later: the answer of a call may have come with the end.
    setImmediate(() => {
      for (const call of calls.values()) call.end(status);
      session.destroy();
      socket.destroy();
    });
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

  session.once("remoteSettings", () => {
    if (lost !== undefined) return;
    isReady = true;
    clearTimeout(deadline);
    session.setLocalWindowSize(WINDOW_BYTES);
    if (keepAlive !== undefined) {
      pings = startKeepAlive(session, keepAlive, {
        hasCalls: () => calls.size > 0,
        expired: () => expire(`no answer to a ping within ${keepAlive.timeoutMs} ms`),
      });
    }
    ready.resolve();
  });
  session.on("goaway", (code: number, _: number, opaque?: Uint8Array) => {
    if (code !== http2.constants.NGHTTP2_NO_ERROR) reason = readGoodbye(code, opaque);
    else goodbye ??= setTimeout(() => sentAway("the server sends its clients away"), GOODBYE_MS);
  });
  session.on("error", (error: Error) => reason ??= error.message);
  session.once("close", dropped);
  socket.on("error", (error: Error) => reason ??= error.message);
  socket.once("close", dropped);
  watchServerWindows(
    socket,
    () => [...calls.keys()].flatMap(({ id }) => id ?? []),
    // It was told not to push.
    () => expire("Protocol error"),
  );

  return {
    ready: ready.promise,
    call(path, headers, request, events) {
      const refused = lost ?? (isClosing ? CLOSED : undefined);
      if (refused !== undefined) return endLater(refused, events);
      let stream;
      try {
        stream = session.request({
          ":scheme": scheme,
          ":authority": authority,
          ":path": path,
          ...CALL_HEADERS,
          ...headers,
          ...(request.timeoutMs && { "grpc-timeout": `${request.timeoutMs}m` }),
        });
      } catch (error) {
        return endLater({ code: STATUS.unavailable, details: describeError(error) }, events);
      }
      const call = startCall(stream, request, events, () => lost);
      calls.set(stream, call);
      stream.once("close", () => calls.delete(stream));
      return call;
    },
    close() {
      if (isClosing || lost !== undefined) return;
      isClosing = true;
      if (!isReady) return lose("Channel closed");
      clearTimeout(goodbye);
      deadline = setTimeout(() => lose("Channel closed"), CLOSE_MS);
      session.close();
    },
  };
}

function readGoodbye(code: number, opaque: Uint8Array | undefined): string {
  const words = Buffer.from(opaque ?? []).toString("latin1").replace(/[^ -~]/g, "?");
  return words === "" ? `the server ended it with code ${code}` : `the server said "${words}"`;
}

const CALL_HEADERS = {
  ":method": "POST",
  "content-type": "application/grpc",
  te: "trailers",
  "user-agent": "maestro-agent",
  "grpc-accept-encoding": "identity,gzip",
};

const CLOSED: CallStatus = { code: STATUS.unavailable, details: "Channel closed" };

/** A call that never begins. Nobody is called back before its own call returns. */
function endLater(status: CallStatus, events: CallEvents): ClientCall {
  queueMicrotask(() => events.ended(status));
  return { end() {} };
}

/** `host:port`, an address of IPv6 in brackets. */
export function authorityOf({ host, port }: ServerEnd): string {
  return `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function connectSocket({ host, port, tls: files }: ServerEnd, tunnel: Socket | undefined): Socket {
  if (files === undefined) return tunnel ?? net.connect({ host, port, noDelay: true });
  const { ca, cert, key } = files;
  const socket = tls.connect({
    ...(tunnel === undefined ? { host, port } : { socket: tunnel }),
    ALPNProtocols: ["h2"],
    // TLS sends names only (RFC 6066 §3).
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    // The host as configured, whatever name was sent along: an address has none.
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  });
  const isEager = true;
  return socket.setNoDelay(isEager);
}

function startKeepAlive(
  session: ClientHttp2Session,
  keepAlive: { timeMs: number; timeoutMs: number; permitWithoutStream: boolean },
  { hasCalls, expired }: { hasCalls: () => boolean; expired: () => void },
): Disposable {
  const pinged = {
    get isClosed() {
      return session.destroyed;
    },
    ping: (answered: () => void) => session.ping(answered),
  };
  return startPings(pinged, {
    pingMs: Math.min(keepAlive.timeMs, TIMER_MS_MAX),
    pingTimeoutMs: Math.min(keepAlive.timeoutMs, TIMER_MS_MAX),
    isDue: () => keepAlive.permitWithoutStream || hasCalls(),
    expired,
  });
}
