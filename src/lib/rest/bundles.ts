/** The routes of resource bundles: what sources have published, read here and deleted. */

import type { Hono } from "hono";
import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { notFound } from "../spec/accept.ts";
import type { ResourceRow } from "../spec/door.ts";
import { parseBundleSearch } from "./bundle_search.ts";
import { answerDeletion, type DeletionParts } from "./deletion.ts";
import { parsePage, presentList } from "./list.ts";
import { presentBundle } from "./present_bundle.ts";
import { addRoute, idOf, type RestEnv, sendJson } from "./routes.ts";

const PATH = "/api/maestro/v1/resource-bundles";
const TYPE = "Bundle";

/** Adds `/resource-bundles`, as the Go source client uses it (wire.md §7). */
export function addBundleRoutes(app: Hono<RestEnv>, parts: DeletionParts): void {
  const { db } = parts;
  addRoute(app, PATH, {
    async GET(c) {
      const query = new URL(c.req.url).searchParams;
      const page = parsePage(query, { supported: ["search"] });
      const { labels, labelTerms, ...columns } = parseBundleSearch(query.get("search") ?? "");
      const filter = [
        columns.id ?? null,
        columns.name ?? null,
        columns.source ?? null,
        columns.consumer_name ?? null,
        JSON.stringify(labels),
        JSON.stringify(labelTerms),
      ] as const;
      const [rows, [counted]] = await Promise.all([
        page.limit === 0
          ? []
          : q.resourceListBundles(db, ...filter, page.limit, String(page.offset)),
        q.resourceCountBundles(db, ...filter),
      ]);
      const total = Number(counted?.total ?? 0);
      const items = rows.map(presentBundle);
      return sendJson(c, 200, presentList("ResourceBundleList", items, { ...page, total }));
    },
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      return sendJson(c, 200, presentBundle(await getBundle(db, idOf(c))));
    },
    DELETE: (c) => answerDeletion(parts, c, TYPE),
  });
}

async function getBundle(db: Db, id: string): Promise<ResourceRow> {
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== TYPE) throw notFound(id);
  return row;
}
