/** The routes of resources: one manifest each, created here. */

import type { Hono } from "hono";
import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import { canonicalJson, type JsonObject } from "../json.ts";
import { notFound } from "../spec/refusals.ts";
import type { ResourceRow, SpecDoor } from "../spec/door.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES, MANIFESTS } from "../wire/event.ts";
import { ACTION, formatEventType } from "../wire/event_type.ts";
import { parseSpec, toSingleSpec } from "../wire/read_spec.ts";
import { formatTime } from "../wire/time.ts";
import { readJsonObject } from "./body.ts";
import { answerDeletion } from "./deletion.ts";
import { parsePage, presentList } from "./list.ts";
import { presentResource } from "./present.ts";
import { parsePatchVersion, parseResourceInput, parseResourcePatch } from "./resource_input.ts";
import { addRoute, idOf, type RestEnv, sendJson } from "./routes.ts";

/** What the routes of resources stand on. */
export interface ResourceParts {
  db: Db;
  spec: SpecDoor;
  /** The source that owns what is created here. */
  sourceId: string;
}

const PATH = "/api/maestro/v1/resources";
/** Resources of one manifest; bundles have a list of their own. */
const TYPE = "Single";

/**
 * Adds `/resources`.
 *
 * Specs are stored with sorted keys, so that a manifest that was read and is sent back changes nothing.
 */
export function addResourceRoutes(app: Hono<RestEnv>, parts: ResourceParts): void {
  addRoute(app, PATH, {
    async GET(c) {
      const page = parsePage(new URL(c.req.url).searchParams);
      const [rows, [counted]] = await Promise.all([
        page.limit === 0 ? [] : q.resourceList(parts.db, TYPE, page.limit, String(page.offset)),
        q.resourceCount(parts.db, TYPE),
      ]);
      const total = Number(counted?.total ?? 0);
      const list = presentList("ResourceList", rows.map(presentResource), { ...page, total });
      return sendJson(c, 200, list);
    },
    async POST(c) {
      const row = await createResource(parts, await readJsonObject(c.req.raw));
      return sendJson(c, 201, presentResource(row));
    },
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      const id = idOf(c);
      return sendJson(c, 200, presentResource(await getResource(parts.db, id)));
    },
    async PATCH(c) {
      const row = await patchResource(parts, idOf(c), await readJsonObject(c.req.raw));
      return sendJson(c, 200, presentResource(row));
    },
    DELETE: (c) => answerDeletion(parts, c, TYPE),
  });
}

async function getResource(db: Db, id: string): Promise<ResourceRow> {
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== TYPE) throw notFound(id);
  return row;
}

async function createResource(parts: ResourceParts, body: JsonObject): Promise<ResourceRow> {
  const { name, consumerName, version, spec } = parseResourceInput(body);
  const id = crypto.randomUUID();
  return await parts.spec.create({
    id,
    name: name ?? id,
    source: parts.sourceId,
    consumerName,
    type: TYPE,
    version,
    spec: canonicalJson(spec),
    event: createEvent(parts.sourceId, ACTION.create, {
      dataType: MANIFEST_BUNDLES,
      id,
      consumerName,
      version,
    }),
  });
}

async function patchResource(
  parts: ResourceParts,
  id: string,
  body: JsonObject,
): Promise<ResourceRow> {
  const version = parsePatchVersion(body);
  const row = await getResource(parts.db, id);
  checkCurrent(row, version);
  const spec = parseResourcePatch(body, {
    id,
    name: row.name,
    consumerName: row.consumer_name,
    version: row.version,
    spec: parseSpec(row.data_type, row.spec),
  });
  // It goes on travelling as it came: its agent may know no other data type.
  const data = row.data_type === MANIFESTS ? toSingleSpec(spec) : spec;
  return await parts.spec.update({
    id,
    version,
    spec: canonicalJson(data),
    ...(row.metadata !== null && { metadata: row.metadata }),
    event: createEvent(parts.sourceId, ACTION.update, {
      dataType: row.data_type,
      id,
      consumerName: row.consumer_name,
      version,
    }),
  });
}

// What a patch leaves out is taken from the row that was read, so it must be the row that is replaced:
// the update is conditional on the same version.
function checkCurrent(row: ResourceRow, version: number): void {
  if (row.deleted_at !== null) {
    throw new MaestroError("conflict", `the resource is under deletion, id: ${row.id}`);
  }
  if (row.version === version) return;
  throw new MaestroError(
    "conflict",
    `the resource version is not the latest, the latest version: ${row.version}`,
  );
}

function createEvent(
  source: string,
  action: string,
  { dataType, id, consumerName, version }: {
    dataType: string;
    id: string;
    consumerName: string;
    version: number;
  },
): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source,
    type: formatEventType({ dataType, subresource: "spec", action }),
    time: formatTime(Date.now()),
    datacontenttype: "application/json",
    extensions: {
      [EXT.resourceId]: id,
      [EXT.resourceVersion]: version,
      [EXT.clusterName]: consumerName,
    },
  };
}
