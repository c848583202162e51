/** Connects to a server of HTTP/2, over TCP with prior knowledge (RFC 9113 §3.3) or over TLS with ALPN (§3.2). */

import net, { type Socket } from "node:net";
import tls from "node:tls";
import { carry } from "./carry.ts";
import {
  type ClientConnection,
  type ClientEvents,
  openClientConnection,
} from "./client_connection.ts";
import type { ConnectionLimits } from "./connection.ts";

/** PEM texts. Without a `ca`, the system's are trusted. */
export interface ClientTls {
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
}

export interface Http2ClientOptions {
  host: string;
  port: number;
  /** Plain TCP without it. */
  tls?: ClientTls | undefined;
  /** A connection that leads to the server already. What it said there is read first. */
  tunnel?: Socket | undefined;
  limits: ConnectionLimits;
}

/** Starts to connect. Whatever goes wrong is told by `failed`, and then by `closed`. */
export function connectHttp2(options: Http2ClientOptions, events: ClientEvents): ClientConnection {
  const { tls, tunnel, limits } = options;
  const socket = tls === undefined
    ? tunnel ?? net.connect({ host: options.host, port: options.port })
    : connectTls(options, tls);
  const opening = tls !== undefined
    ? "secureConnect"
    : tunnel === undefined
    ? "connect"
    : undefined;
  return carry(socket, (transport) => openClientConnection(transport, limits, events), {
    failed: events.failed,
    opening,
  });
}

function connectTls(
  { host, port, tunnel }: Http2ClientOptions,
  { ca, cert, key }: ClientTls,
): Socket {
  return tls.connect({
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
}
