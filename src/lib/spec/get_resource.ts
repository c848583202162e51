/** Reads one resource for whoever asks for it by its id. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { ResourceRow } from "./door.ts";
import { notFound } from "./refusals.ts";
import type { ResourceType } from "./write.ts";

/** Resolves to a resource of this type, also while it is being deleted. Throws `not_found`. */
export async function getResource(db: Db, id: string, type: ResourceType): Promise<ResourceRow> {
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== type) throw notFound(id);
  return row;
}
