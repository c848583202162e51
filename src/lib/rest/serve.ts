/** Opens the port of the REST door. */

import {
  type HttpServer,
  type ListenOptions,
  type RequestControl,
  serveHttp,
} from "../http_server.ts";

/** Serves an app over HTTP/1.1 and HTTP/2. Disposing it lets the requests under way finish. */
export function serveRest(
  app: { fetch: (request: Request, control: RequestControl) => Response | Promise<Response> },
  options: ListenOptions,
): HttpServer {
  return serveHttp((request, control) => app.fetch(request, control), options);
}
