/** Deletions over REST: asked of the agent, or abandoned for a cluster that never comes back. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import { notFound } from "../spec/refusals.ts";
import type { SpecDoor } from "../spec/door.ts";
import { BAD_REQUEST } from "./errors.ts";
import { idOf, type RestContext, sendNothing } from "./routes.ts";

/** What deletions stand on. */
export interface DeletionParts {
  db: Db;
  spec: SpecDoor;
  /** Who the server is to its agents. */
  sourceId: string;
}

/** Deletes what the path names, or with `?abandon=true` no longer waits for its agent. */
export async function answerDeletion(
  { db, spec, sourceId }: DeletionParts,
  c: RestContext,
  type: "Single" | "Bundle",
): Promise<Response> {
  const id = idOf(c);
  if (isAbandoned(new URL(c.req.url).searchParams)) {
    const by = c.get("caller")?.name ?? "somebody without a token";
    await spec.abandon({ id, type, by, sourceId });
    return sendNothing(c);
  }
  const [row] = await q.resourceGet(db, id);
  if (row && row.type !== type) throw notFound(id);
  await spec.delete({ id });
  return sendNothing(c);
}

// Nothing but the one word: a mistake must not give up a workload, nor seem to have done it.
function isAbandoned(query: URLSearchParams): boolean {
  const given = query.get("abandon");
  if (given === null || given === "false") return false;
  if (given === "true") return true;
  const shown = JSON.stringify(given.slice(0, 100));
  throw new MaestroError(
    "invalid_argument",
    `the parameter "abandon" must be true or false, not ${shown}`,
    { peerNumber: BAD_REQUEST },
  );
}
