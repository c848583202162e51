/**
 * Changes that people and programs ask for by their outcome: create this, make it be that, change these parts, delete.
 *
 * Every change is one statement of the acceptor. What depends on the stored state was worked out from a row, and is
 * stored only if that row is still the same: nobody's change is lost between reading and writing.
 */

import type { Db } from "../db/connect.ts";
import { MaestroError } from "../errors.ts";
import { MANIFEST_BUNDLES } from "../wire/event.ts";
import { ACTION } from "../wire/event_type.ts";
import type { Acceptor, NewResource, Receipt } from "./accept.ts";
import { type CreateFirst, createFirstOnly } from "./creating.ts";
import type { ResourceRow } from "./door.ts";
import { checkNames, draftOf, encodeDraft, type ResourceDraft } from "./draft.ts";
import { foresee, foreseenRow } from "./foresee.ts";
import { createOwnEvent } from "./own_event.ts";
import { createResourceReader } from "./read_resources.ts";
import { findReceipt } from "./receipts.ts";
import { foreign, notFound, staleVersion, underDeletion } from "./refusals.ts";

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

/** How often somebody else may be faster before the caller hears of it. */
const ATTEMPTS = 10;

/** Creates a writer. Resolved means committed (promise I1), unless it is a dry run. */
export function createResourceWriter({ db, acceptor, sourceId }: WriterParts): ResourceWriter {
  const read = createResourceReader(db);
  const parts: Parts = { db, acceptor, sourceId, read, first: createFirstOnly() };
  return {
    create: (creation, options) => once(parts, options, () => createOne(parts, creation, options)),
    apply: (id, draft, options) => once(parts, options, () => applyOne(parts, id, draft, options)),
    patch: (id, change, options) =>
      once(parts, options, () => patchOne(parts, id, change, options)),
    delete: (id, options) => deleteOne(parts, id, options),
  };
}

interface Parts extends WriterParts {
  read: ReturnType<typeof createResourceReader>;
  first: CreateFirst;
}

/** Runs a change; if that fails because another try of it has made it before, tells what became of that. */
async function once(
  { db, read }: Parts,
  { receipt, isDryRun }: WriteOptions,
  run: () => Promise<Written>,
): Promise<Written> {
  try {
    return await run();
  } catch (error) {
    const made = isDryRun ? undefined : await findMade(db, receipt, error);
    if (made === undefined) throw error;
    const row = await read(made.resource_id);
    if (row !== undefined) return { row, outcome: made.version === 1 ? "created" : "changed" };
    const reason = `Resource with id='${made.resource_id}' was changed as asked and is gone since`;
    throw new MaestroError("gone", reason);
  }
}

async function findMade(db: Db, receipt: Receipt | undefined, error: unknown) {
  const isPassing = error instanceof MaestroError && error.code === "unavailable";
  return receipt === undefined || isPassing ? undefined : await findReceipt(db, receipt);
}

async function createOne(
  parts: Parts,
  { id = crypto.randomUUID(), draft, firstVersion = 0 }: Creation,
  options: WriteOptions,
): Promise<Written> {
  const { name = id, consumerName } = draft;
  checkNames(id, name);
  const version = firstVersion || 1;
  const source = options.owner ?? parts.sourceId;
  const stored = encodeDraft(draft);
  const wanted = { id, name, source, consumerName, type: options.type, version, ...stored };
  if (options.isDryRun) {
    return { row: await foresee(parts.db, wanted), outcome: "created" };
  }
  const { receipt, tracing } = options;
  const { metadata } = stored;
  const subject = { source, action: ACTION.create, dataType: MANIFEST_BUNDLES, id, consumerName };
  const resource: NewResource = {
    ...{ id, name, source, consumerName, type: options.type, version, spec: stored.spec },
    ...optional({ metadata, receipt }),
    event: createOwnEvent({ ...subject, version, tracing }),
  };
  await parts.first(id, () => parts.acceptor.create(resource));
  const row = await parts.read(id);
  return { row: asWritten(row, foreseenRow(wanted)), outcome: "created" };
}

async function applyOne(
  parts: Parts,
  id: string,
  draft: ResourceDraft,
  options: WriteOptions,
): Promise<Written> {
  for (let attempt = 1;; attempt++) {
    const row = await parts.read(id);
    // What the caller has seen is gone.
    if (row === undefined && options.version) throw notFound(id);
    try {
      if (row === undefined) return await createOne(parts, { id, draft }, options);
      checkOwn(row, options);
      checkSeen(row, options);
      checkFixed(row, draft);
      return await replaceRow(parts, row, draft, options);
    } catch (error) {
      if (attempt >= ATTEMPTS || options.version || !(error instanceof MaestroError)) throw error;
      // It has come, gone, or come anew at this moment. Else its name is taken.
      const wasAbsent = row === undefined;
      const isOvertaken = error.code === "conflict" && wasAbsent && await parts.read(id);
      const isGone = error.code === "not_found" && !wasAbsent && row.type === options.type;
      if (!isOvertaken && !isGone && error.latestVersion === undefined) throw error;
    }
  }
}

async function patchOne(
  parts: Parts,
  id: string,
  change: (stored: ResourceDraft, row: ResourceRow) => ResourceDraft,
  options: WriteOptions,
): Promise<Written> {
  for (let attempt = 1;; attempt++) {
    const row = await parts.read(id);
    if (row === undefined) throw notFound(id);
    checkOwn(row, options);
    checkSeen(row, options);
    const draft = change(draftOf(row), row);
    checkFixed(row, draft);
    try {
      const seen = { ...options, version: row.version, life: row.created_at };
      return await replaceRow(parts, row, draft, seen);
    } catch (error) {
      const isOvertaken = isConflict(error) && error.latestVersion !== undefined;
      if (!isOvertaken || options.version || attempt >= ATTEMPTS) throw error;
    }
  }
}

async function deleteOne(parts: Parts, id: string, options: WriteOptions): Promise<void> {
  const { version = 0, life, owner, receipt, isDryRun } = options;
  const row = await parts.read(id);
  if (row !== undefined) checkOwn(row, options);
  if (row !== undefined && row.deleted_at === null) checkSeen(row, options);
  if (isDryRun) return;
  try {
    const members = optional({ life, source: owner, receipt });
    await parts.acceptor.delete({ id, version, ...members });
  } catch (error) {
    if (await findMade(parts.db, receipt, error) === undefined) throw error;
  }
}

/** Replaces what is stored, on condition of what `options` say of it. */
async function replaceRow(
  parts: Parts,
  row: ResourceRow,
  draft: ResourceDraft,
  options: WriteOptions,
): Promise<Written> {
  const { id, consumer_name: consumerName, data_type: dataType } = row;
  const stored = encodeDraft(draft, row);
  const isSame = stored.spec === row.spec && stored.metadata === (row.metadata ?? undefined);
  const version = isSame ? row.version : row.version + 1;
  if (options.isDryRun) {
    const wanted = { ...row, consumerName, ...stored, version };
    return { row: await foresee(parts.db, wanted, row), outcome: isSame ? "unchanged" : "changed" };
  }
  const now = await parts.acceptor.update({
    id,
    version: options.version ?? 0,
    spec: stored.spec,
    ...optional({
      metadata: stored.metadata,
      source: options.owner,
      // A replacement is for the resource that was checked, not for one that has come in its place.
      life: options.life ?? row.created_at,
      receipt: options.receipt,
    }),
    event: createOwnEvent({
      ...{ source: row.source, action: ACTION.update, dataType, id, consumerName },
      version: row.version,
      tracing: options.tracing,
    }),
  });
  const outcome = isSame && now === row.version ? "unchanged" : "changed";
  const wanted = { ...row, consumerName, ...stored, version: now };
  return { row: asWritten(await parts.read(id), foreseenRow(wanted, row)), outcome };
}

/** The row as it was written, though others may have changed or removed it since. */
function asWritten(now: ResourceRow | undefined, written: ResourceRow): ResourceRow {
  if (now === undefined || now.version < written.version) return written;
  if (now.version === written.version) return now;
  const { version, spec, metadata } = written;
  return { ...now, version, spec, metadata };
}

function checkOwn(row: ResourceRow, { type, owner }: WriteOptions): void {
  if (row.type !== type) throw notFound(row.id);
  if (owner !== undefined && row.source !== owner) throw foreign(row.id, row.source, owner);
}

function checkSeen(row: ResourceRow, { version = 0, life }: WriteOptions): void {
  if (row.deleted_at !== null) throw underDeletion(row.id);
  const isOther = life !== undefined && life !== row.created_at;
  if (isOther || (version !== 0 && version !== row.version)) throw staleVersion(row.version);
}

/** A resource never moves to another cluster, and never gets another name. */
function checkFixed(row: ResourceRow, draft: ResourceDraft): void {
  const member = draft.consumerName !== row.consumer_name
    ? "consumer_name"
    : (draft.name ?? row.name) !== row.name
    ? "name"
    : undefined;
  if (member === undefined) return;
  throw new MaestroError("invalid_argument", `${member}: field is immutable`);
}

function isConflict(error: unknown): error is MaestroError {
  return error instanceof MaestroError && error.code === "conflict";
}

/** Only those that are there: for an optional member `undefined` is no value. */
function optional<T extends Record<string, unknown>>(members: T) {
  const present = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [Key in keyof T]?: NonNullable<T[Key]> };
}
