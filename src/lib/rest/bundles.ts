/** The routes of resource bundles: what sources have published, read and changed here. */

import type { Hono } from "hono";
import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { notFound } from "../spec/refusals.ts";
import type { ResourceRow } from "../spec/door.ts";
import { asSqlFilter, parseBundleSearch } from "./bundle_search.ts";
import { addBatchRoute } from "./batch.ts";
import { patchBundle, postBundle, putBundle } from "./bundle_writes.ts";
import { answerDeletion, type DeletionParts } from "./deletion.ts";
import { createTextPresentation, toEventStream } from "./event_stream.ts";
import { badRequest, parsePage, presentList } from "./list.ts";
import { presentBundle } from "./present_bundle.ts";
import { addRoute, idOf, type RestContext, type RestEnv, sendJson, sendTagged } from "./routes.ts";
import type { Watchers } from "./watch.ts";

const PATH = "/api/maestro/v1/resource-bundles";
const TYPE = "Bundle";
const presentation = createTextPresentation();

/** Adds `/resource-bundles`, as the Go source client uses it (wire.md §7). */
export function addBundleRoutes(
  app: Hono<RestEnv>,
  parts: DeletionParts & { watchers: Watchers | undefined },
): void {
  const { db, watchers } = parts;
  const writing = { ...parts, writer: parts.spec.writer };
  addBatchRoute(app, writing);
  addRoute(app, PATH, {
    async GET(c) {
      const query = new URL(c.req.url).searchParams;
      if (isWatch(query)) return await watchBundles(c, query, watchers);
      const page = parsePage(query, { supported: ["search"] });
      const filter = asSqlFilter(parseBundleSearch(query.get("search") ?? ""));
      const [rows, [counted]] = await Promise.all([
        page.limit === 0
          ? []
          : q.resourceListBundles(db, ...filter, page.limit, String(page.offset)),
        q.resourceCountBundles(db, ...filter),
      ]);
      const total = Number(counted?.total ?? 0);
      const items = rows.map((row) => presentBundle(row));
      return sendJson(c, 200, presentList("ResourceBundleList", items, { ...page, total }));
    },
    POST: (c) => postBundle(c, writing),
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      const row = await getBundle(db, idOf(c));
      return sendTagged(c, 200, presentBundle(row), row);
    },
    PATCH: (c) => patchBundle(c, writing),
    PUT: (c) => putBundle(c, writing),
    DELETE: (c) => answerDeletion(parts, c, TYPE),
  });
}

function isWatch(query: URLSearchParams): boolean {
  const text = query.get("watch")?.trim() ?? "";
  if (["1", "true"].includes(text)) return true;
  if (["", "0", "false"].includes(text)) return false;
  throw badRequest('the parameter "watch" must be true or false');
}

async function watchBundles(
  c: RestContext,
  query: URLSearchParams,
  watchers: Watchers | undefined,
): Promise<Response> {
  const extra = ["page", "size", "orderBy", "fields"].find((name) => query.has(name));
  if (extra !== undefined) throw badRequest(`the parameter "${extra}" does not go with "watch"`);
  if (watchers === undefined) throw badRequest("nothing can be watched here");
  const filter = parseBundleSearch(query.get("search") ?? "");
  // Of a client that comes back the header is newer than the address that it began with.
  const cursor = c.req.header("Last-Event-ID") || query.get("cursor") || undefined;
  c.header("Content-Type", "text/event-stream");
  c.header("Cache-Control", "no-store");
  c.header("Vary", "Authorization");
  // Proxies that gather answers would keep the events to themselves.
  c.header("X-Accel-Buffering", "no");
  if (c.req.method === "HEAD") return c.body(null);
  const operationId = c.get("operationId");
  const alive = () => c.env?.stillReads?.();
  const queue = await watchers.open({ filter, cursor, operationId }, presentation);
  return c.body(toEventStream(queue, { operationId, alive }));
}

async function getBundle(db: Db, id: string): Promise<ResourceRow> {
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== TYPE) throw notFound(id);
  return row;
}
