/** From the outside world into the database: creates, updates and deletions of resources. */

import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import { MaestroError } from "../errors.ts";
import type { CloudEvent } from "../wire/event.ts";
import type { Sender } from "./send.ts";
import {
  asError,
  createAll,
  deleteAll,
  type Hearers,
  RACED,
  type Stored,
  updateAll,
} from "./accept_statements.ts";

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
  /** Resolves to the version that is stored: a higher one than given if an earlier life of the id was abandoned. */
  create(resource: NewResource): Promise<number>;
  /** Resolves to the version that is stored now. An update that changes nothing keeps it. */
  update(update: ResourceUpdate): Promise<number>;
  /** Unknown and already deleting resources are fine: nothing is left to do. */
  delete(deletion: ResourceDeletion): Promise<void>;
}

const BATCH = {
  sizeMax: 64,
  // A statement costs PostgreSQL as much as four rows.
  sizeGood: 16,
  // Beside a run that waits for a row that somebody else has locked there is room for others.
  concurrency: 4,
  // About 30 MB of 3 KB specs; then callers are told to come back.
  waitingMax: 10_000,
  // Callers get an answer within two seconds, whatever becomes of the database.
  stallMsMax: 1_600,
  meetsAll,
};

/**
 * Starts an acceptor. With a sender, what is for consumers that can be sent to now leaves as soon as it is committed;
 * the rest is left to the publishers. Calls that arrive together share a statement; for one id they keep their order.
 * `stored` is to wake whoever has work after a commit.
 */
export function createAcceptor(db: Db, sender?: Sender, stored: Stored = () => {}): Acceptor {
  const hearers = { sender, stored };
  const accept = createBatch((entries: Entry[]) => run(db, entries, hearers), {
    ...BATCH,
    name: "accept a resource",
    key: (entry) => entry.id,
  });
  return {
    create: (resource) => {
      const { id } = resource;
      return insist("create", id, () => accept({ action: "create", id, input: resource }));
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

const ATTEMPTS = 10;

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
async function run(
  db: Db,
  entries: Entry[],
  hearers: Hearers,
): Promise<(number | Error)[]> {
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
    const results = await settle(group.run as GroupRun, db, inputs, hearers);
    results.forEach((result, index) => (answers[positions[index] ?? 0] = result));
  }
  return answers;
}

type GroupRun = (db: Db, inputs: unknown[], hearers: Hearers) => Promise<(number | Error)[]>;

/**
 * A statement that fails fails its own entries one by one, never those of another action.
 *
 * But not one whose answer was lost: it may have been committed, and tried again it would be refused, as what it
 * creates exists. Its callers hear that the outcome is open.
 */
async function settle(
  group: GroupRun,
  db: Db,
  inputs: unknown[],
  hearers: Hearers,
): Promise<(number | Error)[]> {
  try {
    return await group(db, inputs, hearers);
  } catch (error) {
    if (inputs.length === 1 || meetsAll(error)) return inputs.map(() => asError(error));
    const answers: (number | Error)[] = [];
    for (const input of inputs) {
      answers.push(...await group(db, [input], hearers).catch((error) => [asError(error)]));
    }
    return answers;
  }
}

function idAt(entries: Entry[], at: number): string {
  return entries[at]?.id ?? "";
}
