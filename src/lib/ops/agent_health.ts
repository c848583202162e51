/** The agent's door for probes. */

import { type HttpServer, type ListenOptions, serveHttp } from "../http_server.ts";
import type { Readiness } from "./health.ts";

/**
 * Serves `/healthz`, `/livez` and `/readyz`.
 *
 * Ready means connected to the server: the body of a 503 says why not. Alive never looks at the connection, since a
 * restart would not bring it back.
 */
export function serveAgentHealth(readiness: Readiness, options: ListenOptions): HttpServer {
  return serveHttp((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz" || pathname === "/livez") return new Response("ok");
    if (pathname !== "/readyz") return new Response("not found", { status: 404 });
    const reason = readiness();
    return reason === undefined ? new Response("ok") : new Response(reason, { status: 503 });
  }, options);
}
