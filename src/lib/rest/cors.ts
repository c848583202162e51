/** Lets web pages of other origins call, if they are named. Such pages send a token; no cookie is for them. */

import type { RestContext } from "./routes.ts";

/** What pages may send and see besides what they always may: REST's, then those of Connect and gRPC-Web. */
const SENT = [
  ...["Authorization", "Content-Type", "X-Operation-ID", "Last-Event-ID", "If-Match"],
  ...["If-None-Match", "Idempotency-Key", "traceparent"],
  ...["Connect-Protocol-Version", "Connect-Timeout-Ms", "Connect-Content-Encoding"],
  ...["Connect-Accept-Encoding", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent", "Maestro-Cursor"],
];
const SHOWN = [
  ...["X-Operation-ID", "Retry-After", "WWW-Authenticate", "Allow"],
  ...["Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Subscription-Id"],
  ...["ETag", "Location", "Idempotency-Replayed"],
];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/** As long as Go servers say. */
const MAX_AGE_SECONDS = 600;

/** Answers whether a page may call, and says so on every answer to one that may. */
export async function allowOrigins(
  origins: readonly string[],
  c: RestContext,
  next: () => Promise<void>,
): Promise<Response | void> {
  const origin = c.req.header("Origin");
  const isAllowed = origins.includes("*") || (origin !== undefined && origins.includes(origin));
  if (origin === undefined || !isAllowed) return await goOn(origins, c, next);
  c.header("Access-Control-Allow-Origin", origin);
  const isPreflight = c.req.method === "OPTIONS" &&
    c.req.header("Access-Control-Request-Method") !== undefined;
  if (!isPreflight) {
    c.header("Access-Control-Expose-Headers", SHOWN.join(", "));
    return await goOn(origins, c, next);
  }
  c.header("Access-Control-Allow-Methods", METHODS.join(", "));
  c.header("Access-Control-Allow-Headers", SENT.join(", "));
  c.header("Access-Control-Max-Age", String(MAX_AGE_SECONDS));
  c.header("Vary", "Origin");
  return c.body(null, 204);
}

/** Caches must not give one page the answer that was for another. */
async function goOn(
  origins: readonly string[],
  c: RestContext,
  next: () => Promise<void>,
): Promise<void> {
  await next();
  if (origins.length > 0) c.res.headers.append("Vary", "Origin");
}
