/** The changes of a writer, one by one: what they check, what they store, and when they look again. */

import { MaestroError } from "../errors.ts";
import { MANIFEST_BUNDLES, RESOURCE_VERSION_MAX } from "../wire/event.ts";
import { ACTION } from "../wire/event_type.ts";
import type { NewResource } from "./accept.ts";
import type { CreateFirst } from "./creating.ts";
import type { ResourceRow } from "./door.ts";
import { checkNames, draftOf, encodeDraft, type ResourceDraft } from "./draft.ts";
import { foresee, foreseenRow } from "./foresee.ts";
import { createOwnEvent } from "./own_event.ts";
import type { ReadResource } from "./read_resources.ts";
import { findMade } from "./receipts.ts";
import { foreign, notFound, noVersionLeft, staleVersion, underDeletion } from "./refusals.ts";
import type { Creation, WriteOptions, WriterParts, Written } from "./write.ts";

/** How often somebody else may be faster before the caller hears of it. */
const ATTEMPTS = 10;

/** What changes stand on. */
export interface ChangeParts extends WriterParts {
  read: ReadResource;
  first: CreateFirst;
}

/** Creates what is wanted. */
export async function createOne(
  parts: ChangeParts,
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
  const now = await parts.first(id, () => parts.acceptor.create(resource));
  const row = foreseenRow({ ...wanted, version: now });
  return { row: await asWritten(parts, row), outcome: "created" };
}

/** Makes it be what is wanted, whether it is there or not. */
export async function applyOne(
  parts: ChangeParts,
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

/** Changes what is stored to what `change` makes of it. */
export async function patchOne(
  parts: ChangeParts,
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

/** Marks it as being deleted. */
export async function deleteOne(
  parts: ChangeParts,
  id: string,
  options: WriteOptions,
): Promise<void> {
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
  parts: ChangeParts,
  row: ResourceRow,
  draft: ResourceDraft,
  options: WriteOptions,
): Promise<Written> {
  const { id, consumer_name: consumerName, data_type: dataType } = row;
  const stored = encodeDraft(draft, row);
  const isSame = stored.spec === row.spec && stored.metadata === (row.metadata ?? undefined);
  if (!isSame && row.version >= RESOURCE_VERSION_MAX) throw noVersionLeft(id);
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
  return { row: await asWritten(parts, foreseenRow(wanted, row)), outcome };
}

/**
 * The row as it was written, though others may have changed or removed it since. What is committed is told as such even
 * if it cannot be read any more: who hears of a failure writes again.
 */
async function asWritten({ read }: ChangeParts, written: ResourceRow): Promise<ResourceRow> {
  const now = await read(written.id).catch((error) => {
    if (error instanceof MaestroError) return undefined;
    throw error;
  });
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
