/** From the outside world into the database: creates, updates and deletions of resources. */

import { createHash } from "node:crypto";
import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import { MaestroError } from "../errors.ts";
import { canonicalJson, type JsonObject, parseJsonObject } from "../json.ts";
import type { CloudEvent } from "../wire/event.ts";
import { parseEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";

export interface NewResource {
  id: string;
  /** Unique among all resources; the id if the source gives none. */
  name: string;
  source: string;
  consumerName: string;
  type: "Single" | "Bundle";
  version: number;
  /** The event's data, as JSON text. Kept byte for byte. */
  spec: string;
  /** ManifestWork metadata as JSON text. */
  metadata?: string;
  /** The event that brought it. Its data type is the one by which agents are told; its data is not looked at. */
  event: CloudEvent;
}

export interface ResourceUpdate {
  id: string;
  /** Only a resource of this source is touched; undefined touches any. */
  source?: string;
  /** The version that the caller has seen; 0 takes whatever is stored. */
  version: number;
  /** What the resource becomes if the event is of another data type than the one before. */
  type?: "Single" | "Bundle";
  spec: string;
  metadata?: string;
  event: CloudEvent;
}

export interface ResourceDeletion {
  id: string;
  /** Only a resource of this source is touched; undefined touches any. */
  source?: string;
}

/** Resolved means committed: the change, and the note that the agent must be told (promise I1). */
export interface Acceptor {
  create(resource: NewResource): Promise<void>;
  /** Resolves to the version that is stored now. An update that changes nothing keeps it. */
  update(update: ResourceUpdate): Promise<number>;
  /** Unknown and already deleting resources are fine: nothing is left to do. */
  delete(deletion: ResourceDeletion): Promise<void>;
}

const BATCH = {
  sizeMax: 64,
  // Beside a run that waits for a row that somebody else has locked there is room for others.
  concurrency: 4,
  // About 30 MB of 3 KB specs; then callers are told to come back.
  waitingMax: 10_000,
  // Callers get an answer within two seconds, whatever becomes of the database.
  stallMsMax: 1_600,
  meetsAll,
};

/** Starts an acceptor. Calls that arrive together share a statement; for one id they keep their order. */
export function createAcceptor(db: Db): Acceptor {
  const accept = createBatch((entries: Entry[]) => run(db, entries), {
    ...BATCH,
    name: "accept a resource",
    key: (entry) => entry.id,
  });
  return {
    create: async (resource) => {
      await accept({ action: "create", id: resource.id, input: resource });
    },
    update: async (update) => {
      for (let attempt = 0; attempt < UPDATE_ATTEMPTS; attempt++) {
        const version = await accept({ action: "update", id: update.id, input: update });
        if (version !== RACED) return version;
      }
      throw new MaestroError(
        "conflict",
        `Cannot update resource "${update.id}": others update it all the time`,
      );
    },
    delete: async (deletion) => {
      await accept({ action: "delete", id: deletion.id, input: deletion });
    },
  };
}

/** Somebody else's update came between the reading and the writing of one statement: look again. */
const RACED = 0;
const UPDATE_ATTEMPTS = 10;

type Entry =
  | { action: "create"; id: string; input: NewResource }
  | { action: "update"; id: string; input: ResourceUpdate }
  | { action: "delete"; id: string; input: ResourceDeletion };

/** One statement per action that occurs; the answers in the order of the entries. */
async function run(db: Db, entries: Entry[]): Promise<(number | Error)[]> {
  const answers: (number | Error)[] = entries.map(() => RACED);
  const groups = [
    { action: "create", run: createAll },
    { action: "update", run: updateAll },
    { action: "delete", run: deleteAll },
  ] as const;
  for (const group of groups) {
    const positions = entries.flatMap(({ action }, at) => action === group.action ? [at] : []);
    if (positions.length === 0) continue;
    // Sorted by id, so that two servers lock rows in the same order.
    positions.sort((a, b) => (idAt(entries, a) < idAt(entries, b) ? -1 : 1));
    const inputs = positions.map((at) => entries[at]?.input);
    const results = await settle(group.run as GroupRun, db, inputs);
    results.forEach((result, index) => (answers[positions[index] ?? 0] = result));
  }
  return answers;
}

type GroupRun = (db: Db, inputs: unknown[]) => Promise<(number | Error)[]>;

/**
 * A statement that fails fails its own entries one by one, never those of another action.
 *
 * But not one whose answer was lost: it may have been committed, and tried again it would be refused, as what it
 * creates exists. Its callers hear that the outcome is open.
 */
async function settle(group: GroupRun, db: Db, inputs: unknown[]): Promise<(number | Error)[]> {
  try {
    return await group(db, inputs);
  } catch (error) {
    if (inputs.length === 1 || meetsAll(error)) return inputs.map(() => asError(error));
    const answers: (number | Error)[] = [];
    for (const input of inputs) {
      answers.push(...await group(db, [input]).catch((error) => [asError(error)]));
    }
    return answers;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function idAt(entries: Entry[], at: number): string {
  return entries[at]?.id ?? "";
}

async function createAll(db: Db, resources: NewResource[]): Promise<(number | Error)[]> {
  const rows = await q.resourceCreate(
    db,
    resources.map(({ id }) => id),
    resources.map(({ name }) => name),
    resources.map(({ source }) => source),
    resources.map(({ consumerName }) => consumerName),
    resources.map(({ type }) => type),
    resources.map(({ version }) => version),
    resources.map(({ spec }) => spec),
    resources.map(specHash),
    resources.map(({ event }) => storedEvent(event)),
    resources.map(({ metadata }) => metadata ?? null),
    resources.map(dataTypeOf),
  );
  return inOrder(resources, rows, (resource, row) => {
    if (row?.created_at) return resource.version;
    if (!row?.is_known_consumer) {
      // Clients of the Go server look for the name of the constraint.
      return new MaestroError(
        "invalid_argument",
        `Unable to create Resource: consumer "${resource.consumerName}" does not exist ` +
          `(it violates foreign key constraint "fk_resources_consumers")`,
      );
    }
    return new MaestroError("conflict", "This Resource already exists");
  });
}

async function updateAll(db: Db, updates: ResourceUpdate[]): Promise<(number | Error)[]> {
  const rows = await q.resourceUpdate(
    db,
    updates.map(({ id }) => id),
    updates.map(({ source }) => source ?? null),
    updates.map(({ version }) => version),
    updates.map(({ spec }) => spec),
    updates.map(specHash),
    updates.map(({ event }) => storedEvent(event)),
    updates.map(({ metadata }) => metadata ?? null),
    updates.map(dataTypeOf),
    updates.map(({ type }) => type ?? null),
  );
  return inOrder(updates, rows, (update, row) => {
    if (row?.new_version) return row.new_version;
    if (!row?.version) return notFound(update.id);
    if (update.source !== undefined && row.source !== update.source) {
      return foreign(update.id, row.source, update.source);
    }
    if (row.is_deleting) {
      return new MaestroError("conflict", `the resource is under deletion, id: ${update.id}`);
    }
    if (update.version !== 0 && update.version !== row.version) {
      return new MaestroError(
        "conflict",
        `the resource version is not the latest, the latest version: ${row.version}`,
      );
    }
    return row.is_same ? row.version : RACED;
  });
}

async function deleteAll(db: Db, deletions: ResourceDeletion[]): Promise<(number | Error)[]> {
  const rows = await q.resourceDelete(
    db,
    deletions.map(({ id }) => id),
    deletions.map(({ source }) => source ?? null),
  );
  return inOrder(
    deletions,
    rows,
    ({ id, source }, row) =>
      row?.source && source !== undefined && row.source !== source
        ? foreign(id, row.source, source)
        : 0,
  );
}

function inOrder<In, Row extends { position: number }>(
  inputs: In[],
  rows: Row[],
  answer: (input: In, row: Row | undefined) => number | Error,
): (number | Error)[] {
  const byPosition = new Map(rows.map((row) => [row.position, row]));
  return inputs.map((input, index) => answer(input, byPosition.get(index + 1)));
}

/** The error for an id that is not stored, in the words that clients know. */
export function notFound(id: string): MaestroError {
  return new MaestroError("not_found", `Resource with id='${id}' not found`);
}

function foreign(id: string, owner: string | null, caller: string): MaestroError {
  return new MaestroError(
    "permission_denied",
    `Cannot change resource "${id}": it belongs to source "${owner}", not to "${caller}"`,
  );
}

function dataTypeOf({ event }: { event: CloudEvent }): string {
  return parseEventType(event.type).dataType;
}

/** Of the event only what is not stored elsewhere: no data, no metadata. */
function storedEvent(event: CloudEvent): string {
  const { metadata: _, ...extensions } = event.extensions;
  return encodeStructured({ ...event, extensions, data: undefined });
}

/** What clients fill in anew each time, and what therefore makes no difference. */
const VOLATILE_METADATA = [
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "managedFields",
];

/** By which an update that changes nothing is known. */
function specHash({ spec, metadata }: { spec: string; metadata?: string }): string {
  const hash = createHash("sha256").update(spec);
  if (metadata !== undefined) hash.update("\n").update(canonicalJson(stable(metadata)));
  return hash.digest("hex");
}

function stable(metadata: string): JsonObject {
  const members = Object.entries(parseJsonObject(metadata, "the metadata"));
  return Object.fromEntries(members.filter(([key]) => !VOLATILE_METADATA.includes(key)));
}
