/** The acceptor for callers who want to see what is stored afterwards. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { type Abandonment, abandonResource } from "./abandon.ts";
import {
  type Acceptor,
  type NewResource,
  type ResourceDeletion,
  type ResourceUpdate,
} from "./accept.ts";
import type { SpecChange } from "./change.ts";
import { notFound } from "./refusals.ts";

/** A resource as people see it. Documents are JSON text, times RFC 3339. */
export type ResourceRow = q.ResourceGetRow;

export interface SpecDoor {
  create(resource: NewResource): Promise<ResourceRow>;
  update(update: ResourceUpdate): Promise<ResourceRow>;
  delete(deletion: ResourceDeletion): Promise<void>;
  abandon(abandonment: Abandonment): Promise<void>;
  /** Accepts what an event asks for. Resolved means committed. */
  accept(change: SpecChange): Promise<void>;
}

/** Wraps an acceptor: each create and update is followed by a reading of its row. */
export function createSpecDoor(db: Db, acceptor: Acceptor, log: Logger): SpecDoor {
  const read = async (id: string) => {
    const [row] = await q.resourceGet(db, id);
    if (row === undefined) throw notFound(id);
    return row;
  };
  return {
    create: async (resource) => {
      await acceptor.create(resource);
      return await read(resource.id);
    },
    update: async (update) => {
      await acceptor.update(update);
      return await read(update.id);
    },
    delete: (deletion) => acceptor.delete(deletion),
    abandon: (abandonment) => abandonResource(db, log, abandonment),
    accept: async (change) => void await change.accept(acceptor),
  };
}
