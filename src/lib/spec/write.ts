/**
 * Changes that people and programs ask for by their outcome: create this, make it be that, change these parts, delete.
 *
 * Every change is one statement of the acceptor. What depends on the stored state was worked out from a row, and is
 * stored only if that row is still the same: nobody's change is lost between reading and writing.
 */

import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import type { Acceptor, Receipt } from "./accept.ts";
import { createFirstOnly } from "./creating.ts";
import type { ResourceRow } from "./door.ts";
import type { ResourceDraft } from "./draft.ts";
import { createIdTurns } from "./id_turns.ts";
import { createResourceReader } from "./read_resources.ts";
import { findMade } from "./receipts.ts";
import { applyOne, type ChangeParts, createOne, deleteOne, patchOne } from "./write_changes.ts";

/** Single manifests and bundles have doors of their own; neither is seen through the other's. */
export type ResourceType = "Single" | "Bundle";

/** What goes with any change. */
export interface WriteOptions {
  type: ResourceType;
  /** The one source whose resources the caller may touch; without it, any. */
  owner?: string | undefined;
  /** The version that the caller has seen; 0 or none takes whatever is stored. */
  version?: number | undefined;
  /** When the resource that the caller has seen was created. */
  life?: string | undefined;
  /** Everything is checked and nothing is stored. */
  isDryRun?: boolean | undefined;
  /** Of changes with the same receipt one is made; the others are answered as it was. */
  receipt?: Receipt | undefined;
  /** For the agent's log: the `logtracing` extension. */
  tracing?: string | undefined;
}

/** What became of a change: the resource as it is now, or as it would be. */
export interface Written {
  row: ResourceRow;
  outcome: "created" | "changed" | "unchanged";
}

/** A resource to create. */
export interface Creation {
  /** Chosen by the server if none is given. */
  id?: string | undefined;
  draft: ResourceDraft;
  /** The version to begin with; 1 if none is given. */
  firstVersion?: number | undefined;
}

export interface ResourceWriter {
  /** Throws `conflict` if the id or the name is taken. */
  create(creation: Creation, options: WriteOptions): Promise<Written>;
  /** Creates what is not there, and otherwise replaces it whole. */
  apply(id: string, draft: ResourceDraft, options: WriteOptions): Promise<Written>;
  /** Changes a resource to what `change` makes of it, which may be asked again if others change it meanwhile. */
  patch(
    id: string,
    change: (stored: ResourceDraft, row: ResourceRow) => ResourceDraft,
    options: WriteOptions,
  ): Promise<Written>;
  /** Deletes; what is gone or being deleted already is fine. */
  delete(id: string, options: WriteOptions): Promise<void>;
}

export interface WriterParts {
  db: Db;
  acceptor: Acceptor;
  /** Who owns what is created by callers that may touch everything. */
  sourceId: string;
}

/** Creates a writer. Resolved means committed (promise I1), unless it is a dry run. */
export function createResourceWriter({ db, acceptor, sourceId }: WriterParts): ResourceWriter {
  const read = createResourceReader(db);
  const inTurn = createIdTurns();
  const parts: ChangeParts = { db, acceptor, sourceId, read, first: createFirstOnly() };
  return {
    create: (creation, options) =>
      once(parts, { ...options, isCreation: true }, () => createOne(parts, creation, options)),
    apply: (id, draft, options) => once(parts, options, () => applyOne(parts, id, draft, options)),
    patch: (id, change, options) => {
      const run = () => once(parts, options, () => patchOne(parts, id, change, options));
      // Those that take whatever is stored would else only overtake each other.
      return options.version ? run() : inTurn(id, run);
    },
    delete: (id, options) => deleteOne(parts, id, options),
  };
}

/** Runs a change; if that fails because another try of it has made it before, tells what became of that. */
async function once(
  { db, read }: ChangeParts,
  { receipt, isDryRun, isCreation = false }: WriteOptions & { isCreation?: boolean },
  run: () => Promise<Written>,
): Promise<Written> {
  try {
    return await run();
  } catch (error) {
    const made = isDryRun ? undefined : await findMade(db, receipt, error);
    if (made === undefined) throw error;
    const row = await read(made.resource_id);
    // What is applied begins at 1, what is created where its caller wants.
    const isNew = isCreation || made.version === 1;
    if (row !== undefined) return { row, outcome: isNew ? "created" : "changed" };
    const reason = `Resource with id='${made.resource_id}' was changed as asked and is gone since`;
    throw new MaestroError("gone", reason);
  }
}
