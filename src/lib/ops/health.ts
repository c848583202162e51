/** The door for probes: alive, and ready for work. */

import { type HttpServer, type ListenOptions, serveHttp } from "../http_server.ts";

/** Says why the server should get no work now; undefined if it should. */
export type Readiness = () => string | undefined;

/**
 * Serves `/livez` and `/healthcheck`.
 *
 * Alive means that this process answers: a probe that looked further would restart every replica
 * whenever the database blinks.
 */
export function serveHealth(readiness: Readiness, options: ListenOptions): HttpServer {
  return serveHttp((request) => answer(request, readiness), options);
}

function answer(request: Request, readiness: Readiness): Response {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response(null, { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  if (pathname === "/livez") return json(200, '{"status": "ok"}');
  if (pathname !== "/healthcheck") return json(404, '{"status": "not found"}');
  const reason = readiness();
  // Peers' scripts compare the text, blank included.
  if (reason === undefined) return json(200, '{"status": "ok"}');
  return json(503, `{"status": "not ready", "reason": ${JSON.stringify(reason)}}`);
}

function json(status: number, body: string): Response {
  return new Response(body, { status, headers: { "Content-Type": "application/json" } });
}
