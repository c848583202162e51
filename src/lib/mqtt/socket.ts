/** A TCP or TLS connection whose writes of one turn of the event loop leave together. */

import { connect as connectTcp, isIP } from "node:net";
import type { TlsFiles } from "../broker_config_file.ts";
import { connect as connectTls, rootCertificates } from "node:tls";

export interface SocketOptions {
  host: string;
  port: number;
  /** Undefined for plain text. The authorities are those of the system and, if given, `ca`. */
  tls?: TlsFiles | undefined;
  /** For the whole way to a connection that can be used. */
  dialTimeoutMs: number;
  /** Gives that way up. */
  signal?: AbortSignal;
}

/** Why a connection was not made that nobody waits for any more. */
export const GIVEN_UP = "the program is stopping";

export interface Wire {
  write(bytes: Uint8Array): void;
  /** Sets who hears; what came before is kept until then. */
  listen(on: { received: (bytes: Buffer) => void; closed: (reason: string) => void }): void;
  /** Resolves when all that was written has left, or never will. */
  flushed(): Promise<void>;
  destroy(): void;
}

/** Connects, and with TLS checks who is there. Rejects with the system's error, at the time-out, or when given up. */
export async function openSocket(options: SocketOptions): Promise<Wire> {
  const { host, port, tls, dialTimeoutMs, signal } = options;
  const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({
    host,
    port,
    // TLS sends names only (RFC 6066 §3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ca: [...rootCertificates, ...(tls.ca === undefined ? [] : [tls.ca.toString()])],
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    minVersion: "TLSv1.3",
  });
  socket.setNoDelay();
  const opened = Promise.withResolvers<void>();
  let reason = "the broker closed the connection";
  socket.once(tls === undefined ? "connect" : "secureConnect", opened.resolve);
  socket.on("error", (error) => {
    reason = error.message;
    opened.reject(error);
  });
  socket.once("close", () => opened.reject(new Error(reason)));
  const timer = setTimeout(
    () => opened.reject(new Error(`it did not answer within ${dialTimeoutMs} ms`)),
    dialTimeoutMs,
  );
  const giveUp = () => opened.reject(new Error(GIVEN_UP));
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    await opened.promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }

  let waiting: Uint8Array[] = [];
  const flush = () => {
    const bytes = waiting.length === 1 ? waiting[0] : Buffer.concat(waiting);
    waiting = [];
    if (bytes !== undefined && !socket.destroyed) socket.write(bytes);
  };
  return {
    write(bytes) {
      waiting.push(bytes);
      if (waiting.length === 1) setImmediate(flush);
    },
    listen({ received, closed }) {
      socket.on("data", received);
      socket.once("close", () => closed(reason));
    },
    flushed: () =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve();
        flush();
        socket.once("close", () => resolve());
        socket.write(Buffer.alloc(0), () => resolve());
      }),
    destroy: () => void socket.destroy(),
  };
}
