/** Deletions over REST: asked of the agent, or abandoned for a cluster that never comes back. */

import { MaestroError } from "../errors.ts";
import type { Db } from "../db/connect.ts";
import type { SpecDoor } from "../spec/door.ts";
import type { ResourceType } from "../spec/write.ts";
import { answerOnce, type OnceParts } from "./answer_once.ts";
import { badRequest } from "../search/refusal.ts";
import { onCondition, parsePreconditions } from "./preconditions.ts";
import { idOf, type RestContext, sendNothing } from "./routes.ts";
import { booleanParameter, isDryRun, writeOptions } from "./write_options.ts";

/** What deletions stand on. */
export interface DeletionParts extends OnceParts {
  db: Db;
  spec: SpecDoor;
  /** Who the server is to its agents. */
  sourceId: string;
}

/** Deletes what the path names, or with `?abandon=true` no longer waits for its agent. */
export async function answerDeletion(
  parts: DeletionParts,
  c: RestContext,
  type: ResourceType,
): Promise<Response> {
  const { spec, sourceId } = parts;
  const id = idOf(c);
  const query = new URL(c.req.url).searchParams;
  if (booleanParameter(query, "abandon")) {
    if (isDryRun(c)) throw badRequest('the parameter "dryRun" does not go with "abandon"');
    const header = ["If-Match", "If-None-Match", "Idempotency-Key"].find((name) =>
      c.req.header(name)
    );
    if (header !== undefined) throw badRequest(`the header ${header} does not go with "abandon"`);
    if (c.get("rights")?.mayChange === "own") throw mayNotAbandon(id);
    const by = c.get("caller")?.name ?? "somebody without a token";
    await spec.abandon({ id, type, by, sourceId, operationId: c.get("operationId") });
    return sendNothing(c);
  }
  return await answerOnce(c, parts, "", async (receipt) => {
    const preconditions = parsePreconditions(c);
    const options = writeOptions(c, type, { preconditions, receipt });
    await onCondition(preconditions, () => spec.writer.delete(id, options));
    return sendNothing(c);
  });
}

// It leaves objects on a cluster that nobody sees any more: that is for whoever runs the server to decide.
function mayNotAbandon(id: string): MaestroError {
  const message = `Cannot abandon resource "${id}": that is not for the token of a source`;
  return new MaestroError("permission_denied", message);
}
