/** The answer to an agent that says what it holds. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import type { CloudEvent } from "../wire/event.ts";
import { type HeldVersion, isInRange, type ResyncRange, statusQuestion } from "../wire/resync.ts";
import { NO_STATUS_HASH } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";
import { toForgottenEvent, toSpecEvent } from "./event.ts";

const PAGE_MAX = 500;
/** Documents read at once: at most about 50 MB, if each is as large as an agent takes. */
const SEND_MAX = 100;

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
 * from a backup, or is empty, must not remove workloads (promise I6). `deliver` resolves when the
 * connection can take more, and false when it is gone.
 */
export async function answerSpecResync(
  db: Db,
  deliver: (event: CloudEvent) => Promise<boolean>,
  log: Logger,
  request: NotedRequest,
): Promise<number> {
  const { consumerName, dataType, sourceId, connectedAt } = request;
  const held = new Map(request.held.map(({ resourceId, version }) => [resourceId, version]));
  const unknown = new Map(held);
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
    const due: string[] = [];
    const unreported: string[] = [];
    for (const { id, version, is_deleting, is_on_its_way, is_observed } of page) {
      unknown.delete(id);
      if (!isInRange(id, request.range)) continue;
      const isBehind = version > (held.get(id) ?? 0);
      if ((is_deleting || isBehind) && !is_on_its_way) due.push(id);
      if (version === held.get(id) && !is_observed) unreported.push(id);
    }
    if (unreported.length > 0) {
      await q.resourceObserve(db, unreported, unreported.map((id) => held.get(id) ?? 0));
    }
    for (let from = 0; from < due.length; from += SEND_MAX) {
      const ids = due.slice(from, from + SEND_MAX);
      const rows = await q.resourceClaimResync(db, ids, connectedAt);
      for (const row of rows) {
        if (!await deliver(toSpecEvent(row, { sourceId, isResync: true }))) return sent;
        sent++;
      }
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) break;
    afterId = last.id;
  }
  sent += await forget(db, deliver, { consumerName, dataType, sourceId, unknown });
  if (request.doubtful.length > 0) await deliver(askAgain(request));
  const counts = { held: held.size, sent };
  log.debug("answered a spec resync", { consumer: consumerName, data_type: dataType, ...counts });
  return sent;
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
  deliver: (event: CloudEvent) => Promise<boolean>,
  options: {
    consumerName: string;
    dataType: string;
    sourceId: string;
    unknown: Map<string, number>;
  },
): Promise<number> {
  if (options.unknown.size === 0) return 0;
  const { consumerName, unknown } = options;
  const buried = await q.tombstoneOfConsumer(db, consumerName, [...unknown.keys()]);
  let sent = 0;
  for (const { id, deleted_at } of buried) {
    const held = { resourceId: id, version: unknown.get(id) ?? 0, deletedAt: deleted_at };
    if (!await deliver(toForgottenEvent(consumerName, held, options))) break;
    sent++;
  }
  return sent;
}
