/** What every route is made of. */

import type { Context, Hono } from "hono";
import { canonicalJson, type JsonObject } from "../json.ts";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import type { RequestControl } from "../http_server.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ResourceRow } from "../spec/door.ts";
import { METHOD_NOT_ALLOWED, presentError } from "./errors.ts";
import type { TakeBytes } from "./limits.ts";
import { entityTag, isHeld } from "./preconditions.ts";

/** What a request carries from the first middleware to its handler. */
export interface RestEnv {
  /** What the listener offers; nothing without a socket. */
  Bindings: Partial<RequestControl>;
  Variables: {
    operationId: string;
    /** Says in every line which request it is about. */
    log: Logger;
    caller?: Caller;
    rights?: Rights;
    /** What the client traces the request by, as the `logtracing` extension has it. */
    tracing?: string;
    takeBytes?: TakeBytes;
    /** How long a body may take to arrive. */
    bodyTimeoutMs?: number | undefined;
  };
}
export type RestContext = Context<RestEnv>;

/** The longest part of a request that an error repeats. */
const SHOWN_LENGTH_MAX = 200;

type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
type Handler = (c: RestContext) => Promise<Response> | Response;

/** Adds the handlers of a path; any other method there is refused with the list of these. */
export function addRoute(
  app: Hono<RestEnv>,
  path: string,
  handlers: Partial<Record<Method, Handler>>,
): void {
  const methods = Object.keys(handlers);
  // GET and POST before an `all` of the same path: the first that was added answers.
  for (const [method, handler] of Object.entries(handlers)) app.on(method, path, handler);
  // Hono answers HEAD by GET.
  const allow = methods.flatMap((method) => method === "GET" ? ["GET", "HEAD"] : method).join(", ");
  app.all(path, (c) => {
    c.header("Allow", allow);
    const shown = c.req.path.slice(0, SHOWN_LENGTH_MAX);
    const reason = `The method ${c.req.method} is not allowed on '${shown}'; allowed: ${allow}`;
    return sendJson(c, 405, presentError(METHOD_NOT_ALLOWED, reason, c.get("operationId")));
  });
}

/** Answers with JSON whose keys are sorted. */
export function sendJson(c: RestContext, status: number, body: JsonObject): Response {
  return sendText(c, status, canonicalJson(body));
}

/** Answers with JSON text as it is. */
export function sendText(c: RestContext, status: number, json: string): Response {
  c.header("Content-Type", "application/json");
  c.header("Vary", "Authorization");
  c.status(status as Parameters<RestContext["status"]>[0]);
  return c.body(json);
}

/** Answers with a resource and its entity tag, or that the client holds it already. */
export function sendTagged(
  c: RestContext,
  status: number,
  body: JsonObject,
  row: ResourceRow | undefined,
): Response {
  const text = canonicalJson(body);
  if (row === undefined) return sendText(c, status, text);
  const tag = entityTag(row, text);
  c.header("ETag", tag);
  const isRead = c.req.method === "GET" || c.req.method === "HEAD";
  if (!isRead || !isHeld(c, tag)) return sendText(c, status, text);
  c.header("Vary", "Authorization");
  return c.body(null, 304);
}

/** Answers that there is nothing to say. */
export function sendNothing(c: RestContext): Response {
  c.header("Vary", "Authorization");
  return c.body(null, 204);
}

/** The id in the path, which no row can have if PostgreSQL cannot keep it. */
export function idOf(c: RestContext): string {
  const id = c.req.param("id") ?? "";
  if (!id.includes("\0")) return id;
  throw new MaestroError("invalid_argument", "the id in the path must not contain \\u0000");
}
