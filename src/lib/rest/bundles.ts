/** The routes of resource bundles: what sources have published, read here and deleted. */

import type { Hono } from "hono";
import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { notFound } from "../spec/accept.ts";
import type { ResourceRow, SpecDoor } from "../spec/door.ts";
import { parseBundleSearch } from "./bundle_search.ts";
import { parsePage, presentList } from "./list.ts";
import { presentBundle } from "./present_bundle.ts";
import { addRoute, idOf, type RestEnv, sendJson, sendNothing } from "./routes.ts";

const PATH = "/api/maestro/v1/resource-bundles";
const TYPE = "Bundle";

/** Adds `/resource-bundles`, as the Go source client uses it (wire.md §7). */
export function addBundleRoutes(
  app: Hono<RestEnv>,
  { db, spec }: { db: Db; spec: SpecDoor },
): void {
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
    async DELETE(c) {
      const id = idOf(c);
      const [row] = await q.resourceGet(db, id);
      if (row && row.type !== TYPE) throw notFound(id);
      await spec.delete({ id });
      return sendNothing(c);
    },
  });
}

async function getBundle(db: Db, id: string): Promise<ResourceRow> {
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== TYPE) throw notFound(id);
  return row;
}
