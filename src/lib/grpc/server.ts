/**
 * A gRPC server on bare `node:http2` streams: unary and server-streaming methods over bytes.
 *
 * Half of what a call costs through an adapter is the adapter (docs/decisions/0004), and Maestro serves just
 * two methods. Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { describeError, MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Methods, serveStream } from "./call.ts";
import { type Connection, openConnection, WINDOW_BYTES } from "./connection.ts";
import type { GrpcLimits } from "./limits.ts";
import { gatherWrites } from "./gathered_writes.ts";
import { createRounds, type Rounds } from "./rounds.ts";
import { exposeReads } from "./windows.ts";

/** PEM texts. With a `ca`, clients must show a certificate that comes from it. */
export interface ServerTls {
  cert: string;
  key: string;
  ca?: string;
}

export interface GrpcServerOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  limits: GrpcLimits;
  /** By which connections are pinged; its own unless given. */
  rounds?: Rounds;
  /** Plain HTTP/2 without it. */
  tls?: ServerTls;
  log: Logger;
}

export interface GrpcServer extends AsyncDisposable {
  port: number;
  /** Those that are open and stay so. */
  readonly connectionCount: number;
  /** Ends so many connections, so that their clients come back or go elsewhere; returns how many there were. */
  sendAway(countMax: number): number;
  /** New connections get these from now on. Throws if they do not fit together. */
  setTls(tls: ServerTls): void;
}

/** Starts serving. Disposing takes no new connection, and drains those that are open. */
export async function serveGrpc(methods: Methods, options: GrpcServerOptions): Promise<GrpcServer> {
  const { limits, rounds = createRounds(), log } = options;
  const { server, setTls } = createServer(options);
  const opened = options.tls === undefined ? "connection" : "secureConnection";
  exposeReads(server, opened);
  gatherWrites(server, opened);
  const connections = new Map<unknown, Connection>();
  server.on("session", (session) => {
    connections.set(session, openConnection(session, rounds, limits, log));
    session.once("close", () => connections.delete(session));
  });
  server.on("sessionError", (error) => log.debug("a connection failed", { error }));
  server.on("stream", (stream, headers) => {
    const connection = connections.get(stream.session);
    if (connection === undefined) stream.destroy();
    else serveStream(stream, headers, { methods, limits, connection, log });
  });
  await listen(server, options);
  const staying = () => [...connections.values()].filter(({ isDraining }) => !isDraining);
  return {
    port: (server.address() as AddressInfo).port,
    setTls,
    get connectionCount() {
      return staying().length;
    },
    sendAway(countMax) {
      const leaving = staying().slice(0, countMax);
      for (const connection of leaving) void connection.drain("cut_off");
      return leaving.length;
    },
    async [Symbol.asyncDispose]() {
      // Their own `close` would close the connections too, before clients know that they must go.
      net.Server.prototype.close.call(server);
      await Promise.all([...connections.values()].map(({ drain }) => drain("graceful_stop")));
    },
  };
}

function createServer(
  { tls, limits, log }: GrpcServerOptions,
): { server: http2.Http2Server | http2.Http2SecureServer; setTls(tls: ServerTls): void } {
  const settings = { initialWindowSize: WINDOW_BYTES, maxHeaderListSize: 64 * 1024 };
  if (tls === undefined) return { server: http2.createServer({ settings }), setTls() {} };
  const server = http2.createSecureServer({
    ...contextOf(tls),
    settings,
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: true,
    handshakeTimeout: limits.connectionTimeoutMs,
  });
  server.on("tlsClientError", (error, socket) => {
    log.debug("a client was refused by TLS", { error });
    socket.destroy();
  });
  return { server, setTls: (renewed) => server.setSecureContext(contextOf(renewed)) };
}

function contextOf(tls: ServerTls): SecureContextOptions {
  return { ...tls, minVersion: "TLSv1.3" };
}

async function listen(
  server: http2.Http2Server | http2.Http2SecureServer,
  options: GrpcServerOptions,
): Promise<void> {
  const { hostname, port } = options;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, hostname, resolve);
  try {
    await promise;
  } catch (cause) {
    const reason = describeError(cause);
    throw new MaestroError("unavailable", `Cannot listen on ${hostname}:${port}: ${reason}`, {
      cause,
    });
  } finally {
    server.off("error", reject);
  }
}
