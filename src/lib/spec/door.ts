/** What REST asks of the flow of specs. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { type Abandonment, abandonResource } from "./abandon.ts";
import type { Acceptor } from "./accept.ts";
import type { SpecChange } from "./change.ts";
import { createResourceWriter, type ResourceWriter } from "./write.ts";

/** A resource as people see it. Documents are JSON text, times RFC 3339. */
export type ResourceRow = q.ResourceGetRow;

export interface SpecDoor {
  abandon(abandonment: Abandonment): Promise<void>;
  /** Accepts what an event asks for. Resolved means committed. */
  accept(change: SpecChange): Promise<void>;
  /** Changes that are asked for by their outcome. */
  writer: ResourceWriter;
}

/** Opens the door. `sourceId` owns what is created by callers that may touch everything. */
export function createSpecDoor(
  db: Db,
  acceptor: Acceptor,
  log: Logger,
  { sourceId = "maestro" }: { sourceId?: string } = {},
): SpecDoor {
  return {
    abandon: (abandonment) => abandonResource(db, log, abandonment),
    accept: async (change) => void await change.accept(acceptor),
    writer: createResourceWriter({ db, acceptor, sourceId }),
  };
}
