/** The routes that need no login: what this API is, and what its errors mean. */

import type { Hono } from "hono";
import { MaestroError } from "../errors.ts";
import { DEFAULT_REASONS, presentError } from "./errors.ts";
import { parsePage, presentList } from "./list.ts";
import { OPENAPI } from "./openapi.ts";
import { addRoute, idOf, type RestEnv, sendJson } from "./routes.ts";

const ROOT = "/api/maestro";
const V1 = `${ROOT}/v1`;

/** True for a path that anyone may read. */
export function isPublic(path: string): boolean {
  return /^\/api\/maestro(\/v1(\/openapi|\/errors(\/.*)?)?)?$/.test(path);
}

/** Adds `/api/maestro`, `/api/maestro/v1`, `/openapi` and `/errors`. */
export function addAboutRoutes(app: Hono<RestEnv>): void {
  addRoute(app, ROOT, {
    GET: (c) =>
      sendJson(c, 200, {
        id: "maestro",
        href: ROOT,
        kind: "API",
        versions: [{ id: "v1", href: V1, kind: "", collections: null }],
      }),
  });
  addRoute(app, V1, {
    GET: (c) =>
      sendJson(c, 200, {
        id: "v1",
        href: V1,
        kind: "APIVersion",
        collections: [
          { id: "resources", href: `${V1}/resources`, kind: "ResourceList" },
          {
            id: "resource-bundles",
            href: `${V1}/resource-bundles`,
            kind: "ResourceBundleList",
          },
          { id: "consumers", href: `${V1}/consumers`, kind: "ConsumerList" },
        ],
      }),
  });
  addRoute(app, `${V1}/openapi`, { GET: (c) => sendJson(c, 200, OPENAPI) });
  const errors = Object.entries(DEFAULT_REASONS).map(([number, reason]) =>
    presentError(Number(number), reason, "")
  );
  addRoute(app, `${V1}/errors`, {
    GET(c) {
      const page = parsePage(new URL(c.req.url).searchParams);
      const items = errors.slice(page.offset, page.offset + page.limit);
      return sendJson(c, 200, presentList("ErrorList", items, { ...page, total: errors.length }));
    },
  });
  addRoute(app, `${V1}/errors/:id`, {
    GET(c) {
      const id = idOf(c);
      const error = errors.find((error) => error["id"] === id);
      if (error) return sendJson(c, 200, error);
      throw new MaestroError("not_found", `No error with id ${id} exists`);
    },
  });
}
