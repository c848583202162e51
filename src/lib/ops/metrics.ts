/** The door for Prometheus. */

import { type HttpServer, type ListenOptions, serveHttp } from "../http_server.ts";
import type { Metrics } from "../metrics.ts";

/** Serves `/metrics` as Prometheus text. */
export function serveMetrics({ registry }: Metrics, options: ListenOptions): HttpServer {
  return serveHttp(async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
    const headers = { "Content-Type": registry.contentType };
    return new Response(await registry.metrics(), { headers });
  }, options);
}
