/** Opens the port of the REST door. */

import { type HttpServer, type ListenOptions, serveHttp } from "../http_server.ts";

/** Serves an app over HTTP/1.1 and HTTP/2. Disposing it lets the requests under way finish. */
export function serveRest(
  app: { fetch: (request: Request) => Response | Promise<Response> },
  options: ListenOptions,
): HttpServer {
  return serveHttp((request) => app.fetch(request), options);
}
