/** The routes of resource bundles: what sources have published, read and changed here. */

import type { Hono } from "hono";
import { RESOURCES } from "../search/listed.ts";
import { checkFollowed } from "../search/match.ts";
import { parseSearch } from "../search/parse.ts";
import { badRequest } from "../search/refusal.ts";
import { getResource } from "../spec/get_resource.ts";
import { chooseType } from "./acceptable.ts";
import { addBatchRoute } from "./batch.ts";
import { patchBundle, postBundle, putBundle } from "./bundle_writes.ts";
import { answerDeletion, type DeletionParts } from "./deletion.ts";
import { createTextPresentation, toEventStream } from "./event_stream.ts";
import type { ListDoor } from "./list_door.ts";
import { BUNDLE_LIST } from "./list_kinds.ts";
import { presentBundle } from "./present_bundle.ts";
import { addRoute, idOf, type RestContext, type RestEnv, sendTagged } from "./routes.ts";
import { WATCH_FORMATS, WATCH_TYPES } from "./watch_format.ts";
import type { Watchers } from "./watch.ts";

const PATH = "/api/maestro/v1/resource-bundles";
const TYPE = "Bundle";
const presentation = createTextPresentation();

/** Adds `/resource-bundles`, as the Go source client uses it (wire.md §7). */
export function addBundleRoutes(
  app: Hono<RestEnv>,
  parts: DeletionParts & { watchers: Watchers | undefined; lists: ListDoor },
): void {
  const { db, watchers, lists } = parts;
  const writing = { ...parts, writer: parts.spec.writer };
  addBatchRoute(app, writing);
  addRoute(app, PATH, {
    async GET(c) {
      const query = new URL(c.req.url).searchParams;
      if (isWatch(query)) return await watchBundles(c, query, watchers);
      return await lists.answer(c, BUNDLE_LIST);
    },
    POST: (c) => postBundle(c, writing),
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      const row = await getResource(db, idOf(c), TYPE);
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
  const extra = ["page", "size", "orderBy", "fields", "limit", "continue"].find((name) =>
    query.has(name)
  );
  if (extra !== undefined) throw badRequest(`the parameter "${extra}" does not go with "watch"`);
  if (watchers === undefined) throw badRequest("nothing can be watched here");
  const condition = parseSearch(RESOURCES, query.get("search") ?? "");
  checkFollowed(condition);
  // Of a client that comes back the header is newer than the address that it began with.
  const cursor = c.req.header("Last-Event-ID") || query.get("cursor") || undefined;
  const type = chooseType(c, WATCH_TYPES);
  c.header("Content-Type", type);
  c.header("Cache-Control", "no-store");
  c.header("Vary", "Authorization, Accept");
  // Proxies that gather answers would keep the events to themselves.
  c.header("X-Accel-Buffering", "no");
  if (c.req.method === "HEAD") return c.body(null);
  const operationId = c.get("operationId");
  const alive = () => c.env?.stillReads?.();
  const untilMs = c.get("caller")?.untilMs;
  const queue = await watchers.open({ condition, cursor, operationId, untilMs }, presentation);
  // It took longer than a request may: what was answered meanwhile is an error, and nobody would read the stream.
  if (c.error !== undefined) queue.close();
  return c.body(toEventStream(queue, WATCH_FORMATS[type], { operationId, alive }));
}
