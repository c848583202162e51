/**
 * The answer to an agent that says by a digest what it holds, and leaves out the list.
 *
 * Only ours does, and only to a server of ours (decision 0044): after a reconnect it mostly holds what the ledger says,
 * and then a list of thousands of ids would tell nothing.
 */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { Logger } from "../log.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { NOTHING, statusQuestion } from "../wire/resync.ts";
import { versionDigest as digestOf } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";
import { toSpecEvent } from "./event.ts";
import type { Delivery } from "./resync.ts";

export interface BriefRequest {
  consumerName: string;
  dataType: string;
  /** Of the versions that the agent holds. */
  versionDigest: string;
  sourceId: string;
  /** When the consumer's connection was made; what was sent since and not reported is on its way. */
  connectedAt: string;
}

/** What the agent is believed to hold, as digests. */
export interface Believed {
  isRight: boolean;
  statusDigest: string;
}

/** Read and handed over at once; in memory they are some times as much as on disk. */
const CLAIMED_AT_ONCE = 50;
const NOTHING_HELD = digestOf([]);

/**
 * Sends what is pending if the agent holds what it is believed to hold; else asks it for the list.
 *
 * Resolves to what was believed, for the question about statuses that follows.
 */
export async function answerBriefResync(
  db: Db,
  delivery: Delivery,
  log: Logger,
  request: BriefRequest,
): Promise<Believed> {
  const { consumerName, dataType, connectedAt, sourceId } = request;
  const [row] = await q.statusDigests(db, [consumerName], dataType);
  const statusDigest = row?.digest ?? NOTHING_HELD;
  const fields = { consumer: consumerName, data_type: dataType };
  if ((row?.version_digest ?? NOTHING_HELD) !== request.versionDigest) {
    delivery.push(listQuestion(request));
    log.debug("asked an agent what it holds", fields);
    return { isRight: false, statusDigest };
  }
  let sent = 0;
  for (;;) {
    const rows = await q.resourceClaimPending(
      db,
      consumerName,
      CLAIMED_AT_ONCE,
      connectedAt,
      dataType,
    );
    for (const claimed of rows) delivery.push(toSpecEvent(claimed, { sourceId, isResync: true }));
    sent += rows.length;
    if (rows.length < CLAIMED_AT_ONCE || !await delivery.room()) break;
  }
  log.debug("answered a brief resync", { ...fields, sent });
  return { isRight: true, statusDigest };
}

/** A question for the statuses of nothing, by which our agent knows that its list is wanted. */
function listQuestion(request: BriefRequest): CloudEvent {
  const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
  const question = statusQuestion(request, [NOTHING], made);
  question.extensions[EXT.listWanted] = "true";
  return question;
}
