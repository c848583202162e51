/** An HTTP listener that drains before it closes. */

import http from "node:http";

/** Where to listen. */
export interface ListenOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  /** PEM texts; plain HTTP without them. */
  tls?: { cert: string; key: string } | undefined;
}

/** What the answer to a request may ask of the listener. */
export interface RequestControl {
  /** The client has taken something of a long answer, and so may go on for as long as another request. */
  stillReads(): void;
}

/** A listener. Disposing it stops new requests, waits a few seconds for the others, then cuts them. */
export interface HttpServer extends AsyncDisposable {
  port: number;
}

/**
 * A connection without a whole request for this long is closed, however slowly it trickles.
 *
 * It must be longer than any answer takes, since Bun counts that time too.
 */
const IDLE_TIMEOUT_SECONDS = 60;

/** How long the requests under way may take once the server closes. */
const DRAIN_TIMEOUT_MS = 5_000;

// Bun's `stop` takes a bare boolean.
const CUT_CONNECTIONS = true;

/** Above every limit of our own, which answer with an error that says so. */
const REQUEST_BYTES_MAX = 64 * 1024 * 1024;

/** Above our own limit, which answers in JSON; Bun's own is 16 KiB, and its answer is empty. */
const HEADER_BYTES_MAX = 64 * 1024;

/** Serves HTTP/1.1 and HTTP/2. A port that is taken throws. */
export function serveHttp(
  fetch: (request: Request, control: RequestControl) => Response | Promise<Response>,
  { hostname, port, tls }: ListenOptions,
): HttpServer {
  // The one place where Bun takes it, for all listeners of this program.
  (http as { maxHeaderSize: number }).maxHeaderSize = HEADER_BYTES_MAX;
  const server = Bun.serve({
    hostname,
    port,
    ...(tls && { tls }),
    http2: true,
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    maxRequestBodySize: REQUEST_BYTES_MAX,
    fetch: (request, server) =>
      fetch(request, { stillReads: () => server.timeout(request, IDLE_TIMEOUT_SECONDS) }),
  });
  return {
    port: server.port ?? port,
    async [Symbol.asyncDispose]() {
      const cut = setTimeout(() => void server.stop(CUT_CONNECTIONS), DRAIN_TIMEOUT_MS);
      await server.stop();
      clearTimeout(cut);
    },
  };
}
