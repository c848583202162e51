/** Listens for HTTP/2, over TCP with prior knowledge (RFC 9113 §3.3) or over TLS 1.3 with ALPN (§3.2). */

import net, { type AddressInfo, type Server, type Socket } from "node:net";
import tls, { type SecureContextOptions, type TLSSocket } from "node:tls";
import { describeError, MaestroError } from "../errors.ts";
import { carry } from "./carry.ts";
import type { Http2Connection } from "./connection.ts";
import { openServerConnection, type ServerEvents, type ServerLimits } from "./server_connection.ts";

/** PEM texts. With a `ca`, clients must show a certificate that comes from it. */
export interface ServerTls {
  cert: string;
  key: string;
  ca?: string;
}

export interface Http2ServerOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  /** Plain TCP without it. */
  tls?: ServerTls | undefined;
  /** `greetingMs` is for the handshake of TLS as well. */
  limits: ServerLimits;
  /** Called for each new connection. */
  own(connection: Http2Connection): ServerEvents;
  /** A connection that failed before or below HTTP/2. */
  failed(error: Error): void;
}

export interface Http2Server {
  port: number;
  /** New connections get these from now on. Throws if they do not fit together. */
  setTls(tls: ServerTls): void;
  /** Takes no new connection; those that are open stay. */
  stop(): void;
}

/** Starts listening. A port that is taken throws `unavailable`. */
export async function serveHttp2(options: Http2ServerOptions): Promise<Http2Server> {
  const { limits, own, failed } = options;
  const { server, setTls } = options.tls === undefined
    ? { server: net.createServer(), setTls() {} }
    : createTlsServer(options.tls, options);
  server.on(options.tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    const isHttp2 = options.tls === undefined || (socket as TLSSocket).alpnProtocol === "h2";
    if (!isHttp2) return void socket.destroy();
    carry(socket, (transport) => openServerConnection(transport, limits, own), { failed });
  });
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    setTls,
    stop: () => void server.close(),
  };
}

function createTlsServer(
  given: ServerTls,
  { limits, failed }: Http2ServerOptions,
): { server: Server; setTls(tls: ServerTls): void } {
  const server = tls.createServer({
    ...contextOf(given),
    ALPNProtocols: ["h2"],
    requestCert: given.ca !== undefined,
    rejectUnauthorized: true,
    handshakeTimeout: limits.greetingMs,
  });
  server.on("tlsClientError", (error, socket) => {
    failed(error);
    socket.destroy();
  });
  return { server, setTls: (renewed) => server.setSecureContext(contextOf(renewed)) };
}

function contextOf(given: ServerTls): SecureContextOptions {
  return { ...given, minVersion: "TLSv1.3" };
}

async function listen(server: Server, { hostname, port }: Http2ServerOptions): Promise<void> {
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
