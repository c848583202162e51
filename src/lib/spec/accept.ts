/** From the outside world into the database: creates, updates and deletions of resources. */

import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import { MaestroError } from "../errors.ts";
import type { CloudEvent } from "../wire/event.ts";
import { parseEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";
import {
  alreadyExists,
  foreign,
  notFound,
  staleVersion,
  underDeletion,
  unknownConsumer,
} from "./refusals.ts";
import { specHash } from "./spec_hash.ts";
import { ttlOf } from "./ttl.ts";

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
  receipt?: Receipt;
}

/**
 * By which it is known later that a change was made; no other change may have the same. It is stored by the statement
 * that makes the change, which fails if there is one already.
 */
export type Receipt = string;

export interface ResourceUpdate {
  id: string;
  /** Only a resource of this source is touched; undefined touches any. */
  source?: string;
  /** The version that the caller has seen; 0 takes whatever is stored. */
  version: number;
  /** When the resource that the caller has seen was created: one that came after it is another. */
  life?: string;
  /** What the resource becomes if the event is of another data type than the one before. */
  type?: "Single" | "Bundle";
  spec: string;
  metadata?: string;
  event: CloudEvent;
  receipt?: Receipt;
}

export interface ResourceDeletion {
  id: string;
  /** Only a resource of this source is touched; undefined touches any. */
  source?: string;
  /** The version that the caller has seen; 0 or none takes whatever is stored. */
  version?: number;
  /** When the resource that the caller has seen was created. */
  life?: string;
  receipt?: Receipt;
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
    update: (update) =>
      insist("update", update.id, () => accept({ action: "update", id: update.id, input: update })),
    delete: async (deletion) => {
      await insist(
        "delete",
        deletion.id,
        () => accept({ action: "delete", id: deletion.id, input: deletion }),
      );
    },
  };
}

/** Somebody else's change came between the reading and the writing of one statement: look again. */
const RACED = 0;
const ATTEMPTS = 10;
/** A deletion that has nothing left to ask for. */
const DONE = -1;

async function insist(verb: string, id: string, attempt: () => Promise<number>): Promise<number> {
  for (let count = 0; count < ATTEMPTS; count++) {
    const answer = await attempt();
    if (answer !== RACED) return answer;
  }
  throw new MaestroError(
    "conflict",
    `Cannot ${verb} resource "${id}": others change it all the time`,
  );
}

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
    resources.map(({ receipt }) => receipt ?? null),
    resources.map((resource) => ttlOf(resource) ?? null),
  );
  return inOrder(resources, rows, (resource, row) => {
    if (row?.created_at) return resource.version;
    return row?.is_known_consumer ? alreadyExists() : unknownConsumer(resource.consumerName);
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
    updates.map(({ life }) => life ?? null),
    updates.map(({ receipt }) => receipt ?? null),
    updates.map((update) => ttlOf(update) ?? null),
  );
  return inOrder(updates, rows, (update, row) => {
    if (row?.new_version) return row.new_version;
    if (!row?.version) return notFound(update.id);
    if (update.source !== undefined && row.source !== update.source) {
      return foreign(update.id, row.source, update.source);
    }
    if (row.is_deleting) return underDeletion(update.id);
    if (isSuperseded(update, { ...row, version: row.version })) return staleVersion(row.version);
    return row.is_same ? row.version : RACED;
  });
}

async function deleteAll(db: Db, deletions: ResourceDeletion[]): Promise<(number | Error)[]> {
  const rows = await q.resourceDelete(
    db,
    deletions.map(({ id }) => id),
    deletions.map(({ source }) => source ?? null),
    deletions.map(({ version }) => version ?? 0),
    deletions.map(({ life }) => life ?? null),
    deletions.map(({ receipt }) => receipt ?? null),
  );
  return inOrder(deletions, rows, (deletion, row) => {
    const { id, source } = deletion;
    if (!row?.source || !row.version) return DONE;
    if (source !== undefined && row.source !== source) return foreign(id, row.source, source);
    // What is being deleted already is what the caller wants, whatever it has seen.
    if (row.is_marked || row.is_deleting) return DONE;
    const { version } = row;
    return isSuperseded(deletion, { ...row, version }) ? staleVersion(version) : RACED;
  });
}

/** True if the caller has seen something else than what is stored. */
function isSuperseded(
  { version = 0 }: { version?: number },
  stored: { version: number; is_other_life: boolean },
): boolean {
  return stored.is_other_life || (version !== 0 && version !== stored.version);
}

function inOrder<In, Row extends { position: number }>(
  inputs: In[],
  rows: Row[],
  answer: (input: In, row: Row | undefined) => number | Error,
): (number | Error)[] {
  const byPosition = new Map(rows.map((row) => [row.position, row]));
  return inputs.map((input, index) => answer(input, byPosition.get(index + 1)));
}

function dataTypeOf({ event }: { event: CloudEvent }): string {
  return parseEventType(event.type).dataType;
}

/** Of the event only what is not stored elsewhere: no data, no metadata. */
function storedEvent(event: CloudEvent): string {
  const { metadata: _, ...extensions } = event.extensions;
  return encodeStructured({ ...event, extensions, data: undefined });
}
