/** The routes of resources: one manifest each, created here. */

import type { Hono } from "hono";
import type { ResourceRow } from "../spec/door.ts";
import type { ResourceDraft } from "../spec/draft.ts";
import { getResource } from "../spec/get_resource.ts";
import type { Written } from "../spec/write.ts";
import { answerOnce } from "./answer_once.ts";
import { answerDeletion, type DeletionParts } from "./deletion.ts";
import { oneObject, readDocuments } from "./documents.ts";
import type { ListDoor } from "./list_door.ts";
import { RESOURCE_LIST } from "./list_kinds.ts";
import { onCondition, parsePreconditions } from "./preconditions.ts";
import { presentResource } from "./present.ts";
import { changeResource, parseResourceInput, parseResourcePatch } from "./resource_input.ts";
import { addRoute, idOf, type RestContext, type RestEnv, sendTagged } from "./routes.ts";
import { isDryRun, writeOptions } from "./write_options.ts";

/** What the routes of resources stand on. */
export type ResourceParts = DeletionParts & { lists: ListDoor };

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
    GET: (c) => parts.lists.answer(c, RESOURCE_LIST),
    POST: (c) => postResource(c, parts),
  });
  addRoute(app, `${PATH}/:id`, {
    async GET(c) {
      const row = await getResource(parts.db, idOf(c), TYPE);
      return sendTagged(c, 200, presentResource(row), row);
    },
    PATCH: (c) => patchResource(c, parts),
    DELETE: (c) => answerDeletion(parts, c, TYPE),
  });
}

/** Creates what the body says. */
async function postResource(c: RestContext, parts: ResourceParts): Promise<Response> {
  const body = await readDocuments(c, ["json", "yaml"]);
  return await answerOnce(c, parts, body.text, async (receipt) => {
    const { name, consumerName, version, spec } = parseResourceInput(oneObject(body));
    const draft = { ...(name !== undefined && { name }), consumerName, spec };
    const options = writeOptions(c, TYPE, { receipt });
    const creation = { draft, firstVersion: version };
    return sendWritten(c, await parts.spec.writer.create(creation, options));
  });
}

/** Replaces the manifest, and the options that the body has. */
async function patchResource(c: RestContext, parts: ResourceParts): Promise<Response> {
  const id = idOf(c);
  const body = await readDocuments(c, ["json", "yaml"]);
  return await answerOnce(c, parts, body.text, async (receipt) => {
    const isTagged = c.req.header("If-Match") !== undefined;
    const patch = parseResourcePatch(oneObject(body), { isTagged });
    const preconditions = parsePreconditions(c, { version: patch.version });
    const options = writeOptions(c, TYPE, { preconditions, receipt });
    const change = (stored: ResourceDraft, row: ResourceRow): ResourceDraft => {
      const { id, name, consumer_name: consumerName, version } = row;
      const { spec } = stored;
      return {
        ...stored,
        spec: changeResource(patch, { id, name, consumerName, version, spec }),
      };
    };
    return sendWritten(
      c,
      await onCondition(preconditions, () => parts.spec.writer.patch(id, change, options)),
    );
  });
}

function sendWritten(c: RestContext, { row, outcome }: Written): Response {
  const isReal = !isDryRun(c);
  if (outcome === "created" && isReal) c.header("Location", `${PATH}/${row.id}`);
  const status = outcome === "created" ? 201 : 200;
  return sendTagged(c, status, presentResource(row), isReal ? row : undefined);
}
