/** The REST door: who is calling, what is asked, how long it may take, and how errors are told. */

import { Hono } from "hono";
import { getCookie } from "hono/cookie";
import { routePath } from "hono/route";
import type { Authenticate } from "../access/caller.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { SpecDoor } from "../spec/door.ts";
import { createRequestKeys } from "../spec/request_keys.ts";
import { refuseUnacceptable } from "./acceptable.ts";
import { answerError } from "./answer_error.ts";
import { authorize } from "./authorize.ts";
import { addAboutRoutes, isOpenapi, isPublic } from "./about.ts";
import { addCloudEventRoutes } from "./cloud_events.ts";
import { addBundleRoutes } from "./bundles.ts";
import type { CloudEventDoor } from "./connect/cloud_events.ts";
import { addConnectRoutes, isCall } from "./connect/routes.ts";
import { addConsumerRoutes } from "./consumers.ts";
import { allowOrigins } from "./cors.ts";
import { presentError } from "./errors.ts";
import { createLimits, type RequestLimits } from "./limits.ts";
import { createListDoor, type ListOptions } from "./list_door.ts";
import { createOperationId, isOperationId } from "./operation_id.ts";
import { addResourceRoutes } from "./resources.ts";
import { type RestContext, type RestEnv, sendJson } from "./routes.ts";
import { formatLogTracing, readTrace } from "./tracing.ts";
import { refuseRehearsal } from "./write_options.ts";
import { dropUnreadBody } from "./unread_body.ts";
import type { Watchers } from "./watch.ts";

/** What the REST door stands on. */
export interface RestParts {
  db: Db;
  spec: SpecDoor;
  /** Without it, whoever reaches the port may do everything. */
  authenticate?: Authenticate | undefined;
  log: Logger;
  metrics: Metrics;
  /** The source that owns what is created here. */
  sourceId?: string;
  /** Without it nothing can be watched. */
  watchers?: Watchers;
  /** What sources are served by over Connect and gRPC-Web; without it they are not. */
  cloudEvents?: CloudEventDoor | undefined;
  /** Web pages of these addresses may call. */
  allowedOrigins?: readonly string[];
  /** How long a request may take before it is answered with 503. */
  requestTimeoutMs?: number;
  /** How long its body may take to arrive before it is answered with 408. */
  bodyTimeoutMs?: number;
  limits?: RequestLimits;
  /** Limits of long lists. */
  lists?: ListOptions;
}

const REQUEST_TIMEOUT_MS = 30_000;
const OPERATION_ID = "X-Operation-ID";
const PATH_SHOWN_MAX = 200;

type Next = () => Promise<void>;

/** Creates the door. Its `fetch` answers requests; nothing listens yet. */
export function createRestApp(parts: RestParts): Hono<RestEnv> {
  const app = new Hono<RestEnv>({ getPath: readPath });
  app.onError((error, c) => answerError(error, c));
  // An unknown path is told to those who may come in, so this is no `notFound` outside the login.
  app.notFound((c) => answerUnknownPath(c));
  app.use(dropUnreadBody);
  app.use((c, next) => identify(parts, c, next));
  app.use((c, next) => observe(parts, c, next));
  app.use((c, next) => allowOrigins(parts.allowedOrigins ?? [], c, next));
  app.use(createLimits(parts.limits ?? {}));
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = parts;
  // Calls do both by themselves, since their errors are told in their protocol.
  app.use((c, next) => isCall(c.req.path) ? next() : login(parts.authenticate, c, next));
  app.use((c, next) => isCall(c.req.path) ? next() : withDeadline(next, requestTimeoutMs));
  app.use(checkManners);
  addAboutRoutes(app);
  const lists = createListDoor(parts.db, parts.log, parts.lists);
  addConsumerRoutes(app, parts.db, lists);
  const { db, spec, watchers, sourceId = "maestro" } = parts;
  const writing = { db, spec, sourceId, keys: createRequestKeys(db) };
  addResourceRoutes(app, { ...writing, lists });
  addBundleRoutes(app, { ...writing, lists, watchers });
  addCloudEventRoutes(app, { spec });
  const calls = { db, writer: spec.writer, watchers, cloudEvents: parts.cloudEvents };
  addConnectRoutes(app, { ...calls, requestTimeoutMs }, (c) => enter(parts.authenticate, c));
  return app;
}

/** The path of a request without one trailing slash. */
function readPath(request: Request): string {
  const { pathname } = new URL(request.url);
  return pathname.length > 1 && pathname.endsWith("/") ? pathname.slice(0, -1) : pathname;
}

async function identify(
  { log, bodyTimeoutMs }: RestParts,
  c: RestContext,
  next: Next,
): Promise<void> {
  const given = c.req.header(OPERATION_ID);
  const id = given && isOperationId(given) ? given : createOperationId(Date.now());
  const trace = readTrace(c);
  c.set("operationId", id);
  c.set("log", log.with({ operation_id: id, ...(trace && { trace_id: trace.traceId }) }));
  c.set("tracing", formatLogTracing(id, trace));
  c.set("bodyTimeoutMs", bodyTimeoutMs);
  c.header(OPERATION_ID, id);
  await next();
}

async function observe({ metrics }: RestParts, c: RestContext, next: Next): Promise<void> {
  const start = performance.now();
  await next();
  const seconds = (performance.now() - start) / 1000;
  const { status } = c.res;
  const labels = { method: methodLabel(c.req.method), path: pathLabel(c), code: String(status) };
  metrics.restRequests.inc(labels);
  metrics.restDuration.observe(labels, seconds);
  // An outage is one sentence a request; only what nobody expects is told with its stack.
  const level = status === 503
    ? "warn"
    : status >= 500
    ? "error"
    : status >= 400
    ? "info"
    : "debug";
  const detail = status === 503 ? { reason: c.error?.message } : { error: c.error };
  c.get("log")[level]("answered a request", {
    method: c.req.method,
    path: c.req.path.slice(0, PATH_SHOWN_MAX),
    status,
    elapsed_ms: Math.round(seconds * 1000),
    caller: c.get("caller")?.name,
    ...(status >= 500 && detail),
  });
}

// Labels come from closed sets only: a client must not be able to fill the registry.
function pathLabel(c: RestContext): string {
  const template = routePath(c, -1);
  return template.includes("*") ? "-" : template.replace(/:\w+/g, "-");
}

function methodLabel(method: string): string {
  return /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method) ? method : "other";
}

async function login(
  authenticate: Authenticate | undefined,
  c: RestContext,
  next: Next,
): Promise<void> {
  if (!isPublic(c.req.path)) await enter(authenticate, c);
  await next();
}

/** Finds out who calls. Throws unless the caller may come in. */
async function enter(authenticate: Authenticate | undefined, c: RestContext): Promise<void> {
  if (authenticate === undefined) return;
  const authorization = c.req.header("Authorization");
  refuseCrossSite(c, authorization);
  c.set("caller", await authenticate({ authorization, cookie: getCookie(c, "cs_jwt") }));
  authorize(c);
}

// A browser adds the cookie to what any other site makes it send, but says where that came from.
function refuseCrossSite(c: RestContext, authorization: string | undefined): void {
  if (authorization !== undefined || c.req.method === "GET" || c.req.method === "HEAD") return;
  const site = c.req.header("Sec-Fetch-Site");
  if (site === undefined || site === "same-origin" || site === "none") return;
  const message = "Cannot accept a change by cookie: another site sent it";
  throw new MaestroError("permission_denied", message);
}

/** What is wrong with a request whatever it asks for, before anything is changed. */
async function checkManners(c: RestContext, next: Next): Promise<void> {
  if (c.req.path.startsWith("/api/")) {
    if (!isOpenapi(c.req.path)) refuseUnacceptable(c);
    refuseRehearsal(c);
  }
  await next();
}

async function withDeadline(next: Next, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `Cannot answer within ${timeoutMs} ms; a change may still take effect`;
      reject(new MaestroError("unavailable", message));
    }, timeoutMs);
  });
  try {
    await Promise.race([next(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function answerUnknownPath(c: RestContext): Response {
  const path = c.req.path.slice(0, PATH_SHOWN_MAX);
  const reason = `The requested resource '${path}' doesn't exist`;
  return sendJson(c, 404, presentError(404, reason, c.get("operationId")));
}
