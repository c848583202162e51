/** The answer to an agent that says what it holds. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { portions } from "../portions.ts";
import type { CloudEvent } from "../wire/event.ts";
import { type HeldVersion, isInRange, type ResyncRange, statusQuestion } from "../wire/resync.ts";
import { NO_STATUS_HASH } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";
import { toForgottenEvent, toSpecEvent } from "./event.ts";

const PAGE_MAX = 500;
/** Specs read and handed over at once; in memory they are some times as much. */
const TURN_LIMITS = { countMax: 50, storedBytesMax: 2 * 1024 * 1024 };

export interface ResyncRequest {
  consumerName: string;
  /** An agent asks for each data type by itself; what is of another is neither sent nor missed. */
  dataType: string;
  held: HeldVersion[];
  /** The ids that the request is about. */
  range: ResyncRange;
  sourceId: string;
  /** When the consumer's connection was made; what was sent since and not reported is on its way. */
  connectedAt: string;
}

/** The way to the agent that asked. */
export interface Delivery {
  /** Hands an event over; it must not wait. */
  push(event: CloudEvent): void;
  /** Resolves when there is room for more, and to false if the connection is gone. */
  room(): Promise<boolean>;
}

/** A request of which the ledger knows. */
export interface NotedRequest extends ResyncRequest {
  /** Ids that the agent had just reported: its list may be older than that. */
  doubtful: string[];
}

/**
 * Notes what an agent lacks, before it is answered.
 *
 * From then on it is pending: the ledger sends it should the answer fail, and what the agent reports from now on
 * is not taken back.
 */
export async function noteSpecResync(db: Db, request: ResyncRequest): Promise<NotedRequest> {
  const { consumerName, dataType, held, range } = request;
  const lost = await q.resourceLose(
    db,
    consumerName,
    held.map(({ resourceId }) => resourceId),
    held.map(({ version }) => version),
    range.after,
    range.through ?? null,
    dataType,
  );
  const doubtful = lost.flatMap(({ id, is_just_reported }) => is_just_reported ? [id] : []);
  return { ...request, doubtful };
}

/**
 * Sends what the agent lacks, page by page, and resolves to the number of events.
 *
 * Sent are resources that the agent holds in an older version or not at all, and all that are being deleted.
 * An id that is not stored is deleted only if its tombstone says so: a server that was restored
 * from a backup, or is empty, must not remove workloads (promise I6). A later version that the agent holds stays as well,
 * unless somebody has asked for another since.
 *
 * What is claimed is handed over at once, however slow the agent is: a version must not leave after a later one, which
 * the publisher sends meanwhile, nor take its place where that waits.
 */
export async function answerSpecResync(
  db: Db,
  delivery: Delivery,
  log: Logger,
  request: NotedRequest,
): Promise<number> {
  const { consumerName, dataType, sourceId, connectedAt } = request;
  const held = new Map(request.held.map((one) => [one.resourceId, one]));
  const unknown = new Map(held);
  let later = 0;
  let sent = 0;
  let afterId = "";
  for (;;) {
    const page = await q.resourcePageVersions(
      db,
      consumerName,
      afterId,
      PAGE_MAX,
      connectedAt,
      dataType,
    );
    for (const { id } of page) unknown.delete(id);
    const asked = compare(page.filter(({ id }) => isInRange(id, request.range)), held);
    later += asked.later.length;
    const overtaken = await overtake(db, log, consumerName, asked.later);
    asked.due.push(...page.filter(({ id }) => overtaken.has(id)));
    if (asked.unreported.length > 0) {
      const versions = asked.unreported.map(({ version }) => version);
      await q.resourceObserve(db, asked.unreported.map(({ resourceId }) => resourceId), versions);
    }
    for (const ids of portions(asked.due, TURN_LIMITS)) {
      const rows = await q.resourceClaimResync(db, ids, connectedAt, asked.lacking);
      for (const row of rows) delivery.push(toSpecEvent(row, { sourceId, isResync: true }));
      sent += rows.length;
      if (!await delivery.room()) return sent;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) break;
    afterId = last.id;
  }
  const forgotten = await forget(db, delivery, { consumerName, dataType, sourceId, unknown });
  sent += forgotten.sent;
  if (request.doubtful.length > 0) delivery.push(askAgain(request));
  const counts = { held: held.size, sent };
  log.debug("answered a spec resync", { consumer: consumerName, data_type: dataType, ...counts });
  if (later > 0 || forgotten.unknown > 0) {
    // As after a restore from a backup. It stays, since nobody has asked for its deletion (promise I6).
    log.warn("an agent holds what this server does not know", {
      consumer: consumerName,
      resources: forgotten.unknown,
      later_versions: later,
    });
  }
  return sent;
}

interface Compared {
  /** To be sent. */
  due: q.ResourcePageVersionsRow[];
  /** Of these the agent holds the version, but has to be told the spec. */
  lacking: string[];
  /** Held as they are stored, though no report said so. */
  unreported: HeldVersion[];
  /** Held in a later version than is stored. */
  later: HeldVersion[];
}

function compare(
  page: q.ResourcePageVersionsRow[],
  held: ReadonlyMap<string, HeldVersion>,
): Compared {
  const compared: Compared = { due: [], lacking: [], unreported: [], later: [] };
  for (const row of page) {
    const { id, version, is_deleting, is_on_its_way, is_observed } = row;
    const known = held.get(id) ?? { resourceId: id, version: 0 };
    const isLacking = known.lacksSpec === true && known.version === version;
    const isDue = is_deleting || version > known.version || isLacking;
    if (isDue && !is_on_its_way) compared.due.push(row);
    if (isLacking) compared.lacking.push(id);
    if (version === known.version && !is_observed) compared.unreported.push(known);
    if (version < known.version && !is_deleting) compared.later.push(known);
  }
  return compared;
}

/** Gives what waits behind a later version on the agent one above that; resolves to the ids. */
async function overtake(
  db: Db,
  log: Logger,
  consumerName: string,
  later: HeldVersion[],
): Promise<Set<string>> {
  if (later.length === 0) return new Set();
  const rows = await q.resourceOvertake(
    db,
    later.map(({ resourceId }) => resourceId),
    later.map(() => consumerName),
    later.map(({ version }) => version),
    later.map(() => null),
  );
  const overtaken = new Set<string>();
  for (const { id, version, new_version } of rows) {
    if (new_version === null) continue;
    const fields = { resource: id, consumer: consumerName, version, new_version };
    log.warn("gave a change a version above the one that its agent holds", fields);
    overtaken.add(id);
  }
  return overtaken;
}

/**
 * Asks for the statuses of what was sent again though it had just been reported.
 *
 * A report may overtake a resync request, on another road or at another server. The agent then holds what it is sent,
 * and would have no reason to report it once more, while the ledger waits for that.
 */
function askAgain(request: NotedRequest): CloudEvent {
  const held = request.doubtful.map((resourceId) => ({ resourceId, hash: NO_STATUS_HASH }));
  const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
  return statusQuestion(request, held, made);
}

async function forget(
  db: Db,
  delivery: Delivery,
  options: {
    consumerName: string;
    dataType: string;
    sourceId: string;
    unknown: Map<string, HeldVersion>;
  },
): Promise<{ sent: number; unknown: number }> {
  if (options.unknown.size === 0) return { sent: 0, unknown: 0 };
  const { consumerName, unknown } = options;
  const buried = await q.tombstoneOfConsumer(db, consumerName, [...unknown.keys()]);
  let sent = 0;
  for (const { id, deleted_at } of buried) {
    const version = unknown.get(id)?.version ?? 0;
    const held = { resourceId: id, version, deletedAt: deleted_at };
    delivery.push(toForgottenEvent(consumerName, held, options));
    sent++;
    if (!await delivery.room()) break;
  }
  return { sent, unknown: unknown.size - buried.length };
}
