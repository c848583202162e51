/** The statements by which resources are created, updated and deleted, many at a time. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { violates } from "../db/query.ts";
import { joinTexts } from "../db/texts.ts";
import { type CloudEvent, EXT, RESOURCE_VERSION_MAX } from "../wire/event.ts";
import { parseEventType } from "../wire/event_type.ts";
import { encodeStructured } from "../wire/structured.ts";
import type { NewResource, ResourceDeletion, ResourceUpdate } from "./accept.ts";
import {
  alreadyExists,
  foreign,
  notFound,
  noVersionLeft,
  staleVersion,
  underDeletion,
  unknownConsumer,
} from "./refusals.ts";
import type { SentRow } from "./event.ts";
import type { Sender } from "./send.ts";
import { specHash } from "./spec_hash.ts";
import { ttlOf } from "./ttl.ts";

/** The answer of a change that met somebody else's between the reading and the writing: it has to look again. */
export const RACED = 0;
/** A deletion that has nothing left to ask for. */
const DONE = -1;

/**
 * Called after a commit that has stored something, with the consumers for whom something is left to the publishers:
 * none if all of it was sent.
 */
export type Stored = (consumerNames: string[]) => void;

/** Who hears of a commit: the sender sends what it can. */
export interface Hearers {
  sender?: Sender | undefined;
  stored: Stored;
}

/** Answers with the version of each, or why it was not created. */
export async function createAll(
  db: Db,
  resources: NewResource[],
  { sender, stored }: Hearers,
): Promise<(number | Error)[]> {
  const events = resources.map(({ event }) => storedEvent(event));
  const rows = await q.resourceCreate(
    db,
    resources.map(({ id }) => id),
    resources.map(({ name }) => name),
    resources.map(({ source }) => source),
    resources.map(({ consumerName }) => consumerName),
    resources.map(({ type }) => type),
    resources.map(({ version }) => version),
    joinTexts(resources.map(({ spec }) => spec)),
    resources.map(specHash),
    joinTexts(events),
    joinTexts(resources.map(({ metadata }) => metadata ?? null)),
    resources.map(dataTypeOf),
    resources.map(({ receipt }) => receipt ?? null),
    resources.map((resource) => ttlOf(resource) ?? null),
    resources.map(({ consumerName }) => sender?.isReady(consumerName) ?? false),
  ).catch((error) => {
    // The consumer was deleted while the statement ran: then there is a reason to be found.
    if (resources.length === 1 && violates(error, "fk_resources_consumers")) return [];
    throw error;
  });
  const created = new Map(rows.map((row) => [row.id, row]));
  sender?.send(resources.flatMap((resource, index) => {
    const row = created.get(resource.id);
    return toSent(resource, events[index], { ...row, consumer_name: resource.consumerName });
  }));
  if (rows.length > 0) {
    stored(resources.flatMap(({ id, consumerName }) => {
      const row = created.get(id);
      return row !== undefined && row.sent_at === null ? [consumerName] : [];
    }));
  }
  const others = resources.filter(({ id }) => !created.has(id));
  // If that cannot be told, those that were created still are.
  const reasons = others.length === 0 ? NONE : await whyNotCreated(db, others).catch(asError);
  return resources.map(({ id }) => {
    const row = created.get(id);
    if (row !== undefined) return row.version;
    return reasons instanceof Error ? reasons : reasons.get(id) ?? RACED;
  });
}

type Reasons = ReadonlyMap<string, Error>;
const NONE: Reasons = new Map();

/** What was in the way of each. None: it has gone meanwhile. */
async function whyNotCreated(db: Db, resources: NewResource[]): Promise<Reasons> {
  const rows = await q.resourceWhyNotCreated(
    db,
    resources.map(({ id }) => id),
    resources.map(({ name }) => name),
    resources.map(({ consumerName }) => consumerName),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  return new Map(resources.flatMap(({ id, consumerName }) => {
    const row = byId.get(id);
    if (!row?.is_known_consumer) return [[id, unknownConsumer(consumerName)]];
    return row.is_taken ? [[id, alreadyExists()]] : [];
  }));
}

/** Answers with the version that is stored now, or why it was not updated. */
export async function updateAll(
  db: Db,
  updates: ResourceUpdate[],
  { sender, stored }: Hearers,
): Promise<(number | Error)[]> {
  const events = updates.map(({ event }) => storedEvent(event));
  const rows = await q.resourceUpdate(
    db,
    updates.map(({ id }) => id),
    updates.map(({ source }) => source ?? null),
    updates.map(({ version }) => version),
    joinTexts(updates.map(({ spec }) => spec)),
    updates.map(specHash),
    joinTexts(events),
    joinTexts(updates.map(({ metadata }) => metadata ?? null)),
    updates.map(dataTypeOf),
    updates.map(({ type }) => type ?? null),
    updates.map(({ life }) => life ?? null),
    updates.map(({ receipt }) => receipt ?? null),
    updates.map((update) => ttlOf(update) ?? null),
    updates.map(({ event }) => consumerToSendTo(event, sender)),
  );
  const found = inOrder(updates, rows);
  sender?.send(updates.flatMap((update, index) => {
    const row = found[index];
    return toSent(update, events[index], { ...row, version: row?.new_version });
  }));
  const updated = rows.filter(({ new_version }) => new_version !== null);
  if (updated.length > 0) stored(left(updated));
  return updates.map((update, index) => {
    const row = found[index];
    if (row?.new_version) return row.new_version;
    if (!row?.version) return notFound(update.id);
    if (update.source !== undefined && row.source !== update.source) {
      return foreign(update.id, row.source, update.source);
    }
    if (row.is_deleting) return underDeletion(update.id);
    if (isSuperseded(update, { ...row, version: row.version })) return staleVersion(row.version);
    if (row.is_same) return row.version;
    return row.version < RESOURCE_VERSION_MAX ? RACED : noVersionLeft(update.id);
  });
}

/** Answers with any number, or why it was not deleted. */
export async function deleteAll(
  db: Db,
  deletions: ResourceDeletion[],
  { stored }: Hearers,
): Promise<(number | Error)[]> {
  const rows = await q.resourceDelete(
    db,
    deletions.map(({ id }) => id),
    deletions.map(({ source }) => source ?? null),
    deletions.map(({ version }) => version ?? 0),
    deletions.map(({ life }) => life ?? null),
    deletions.map(({ receipt }) => receipt ?? null),
  );
  const marked = rows.filter(({ is_marked }) => is_marked);
  if (marked.length > 0) stored(left(marked));
  const found = inOrder(deletions, rows);
  return deletions.map((deletion, index) => {
    const { id, source } = deletion;
    const row = found[index];
    if (!row?.source || !row.version) return DONE;
    if (source !== undefined && row.source !== source) return foreign(id, row.source, source);
    // What is being deleted already is what the caller wants, whatever it has seen.
    if (row.is_marked || row.is_deleting) return DONE;
    const { version } = row;
    return isSuperseded(deletion, { ...row, version }) ? staleVersion(version) : RACED;
  });
}

/** The consumers of what was not sent. */
function left(rows: { consumer_name: string | null; sent_at?: string | null }[]): string[] {
  return rows.flatMap(({ consumer_name, sent_at }) => {
    return consumer_name === null || sent_at ? [] : [consumer_name];
  });
}

/** True if the caller has seen something else than what is stored. */
function isSuperseded(
  { version = 0 }: { version?: number },
  stored: { version: number; is_other_life: boolean },
): boolean {
  return stored.is_other_life || (version !== 0 && version !== stored.version);
}

/** The row of each input; none if nothing was found of it. */
function inOrder<Row extends { position: number }>(
  inputs: readonly unknown[],
  rows: readonly Row[],
): (Row | undefined)[] {
  const byPosition = new Map(rows.map((row) => [row.position, row]));
  return inputs.map((_, index) => byPosition.get(index + 1));
}

/** The rest of a row is what the statement was given. */
function toSent(
  change: NewResource | ResourceUpdate,
  specEvent: string | undefined,
  stored: { [key in "version" | "consumer_name" | "created_at" | "sent_at"]?: SentRow[key] | null },
): SentRow[] {
  const { version, consumer_name, created_at, sent_at } = stored;
  if (!version || !consumer_name || !created_at || !sent_at || !specEvent) return [];
  const { id, spec, metadata = null } = change;
  const documents = { spec, spec_event: specEvent, metadata, data_type: dataTypeOf(change) };
  return [{ id, ...documents, consumer_name, version, created_at, deleted_at: null, sent_at }];
}

/** The event says of whom the resource is; the statement sees whether that is right. */
function consumerToSendTo({ extensions }: CloudEvent, sender: Sender | undefined): string | null {
  const name = extensions[EXT.clusterName];
  return typeof name === "string" && sender?.isReady(name) === true ? name : null;
}

function dataTypeOf({ event }: { event: CloudEvent }): string {
  return parseEventType(event.type).dataType;
}

/** Of the event only what is not stored elsewhere: no data, no metadata. */
function storedEvent(event: CloudEvent): string {
  const { metadata: _, ...extensions } = event.extensions;
  return encodeStructured({ ...event, extensions, data: undefined });
}

/** What was thrown, as an answer. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
