/**
 * The answer to agents that say by a digest what they hold, and leave out the list.
 *
 * Only ours do, and only to a server of ours (decision 0044): after a reconnect they mostly hold what the ledger says,
 * and then a list of thousands of ids would tell nothing. After a restart of the server all come at once, so those
 * who come together share statements.
 */

import * as q from "../../gen/queries.ts";
import { createBatch } from "../batch.ts";
import type { Db } from "../db/connect.ts";
import { meetsAll } from "../db/loss.ts";
import type { Logger } from "../log.ts";
import { type CloudEvent, EXT } from "../wire/event.ts";
import { NOTHING, statusQuestion } from "../wire/resync.ts";
import { versionDigest as digestOf } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";
import { toSpecEvent } from "./event.ts";
import type { Delivery } from "./resync.ts";
import { LANES, turnCount } from "./send.ts";

export interface BriefRequest {
  consumerName: string;
  dataType: string;
  sourceId: string;
  /** When the consumer's connection was made; what was sent since and not reported is on its way. */
  connectedAt: string;
}

/** What the agent is believed to hold, as digests. */
export interface Believed {
  isRight: boolean;
  statusDigest: string;
}

export interface BriefResync {
  /**
   * Reads what the agent is believed to hold, and compares it with the digest of the versions that it says it holds.
   *
   * What it reported before must be stored by then, and nothing that it reports later: that would be believed as well,
   * while its digest does not know it yet.
   */
  compare(asker: Asker, versionDigest: string): Promise<Believed>;
  /** Sends what is pending if the agent holds what it is believed to hold; else asks it for the list. */
  answer(delivery: Delivery, request: BriefRequest, believed: Believed): Promise<void>;
}

export type Asker = Pick<BriefRequest, "consumerName" | "dataType">;

/** Where an agent goes on in its pending resources. */
interface Turn extends Asker {
  connectedAt: string;
  /** Of each lane the id to go on after. */
  after: readonly [string, string];
}

interface Claimed {
  rows: q.ResourceClaimPendingRow[];
  /** Undefined at the end of both lanes. */
  next: Turn | undefined;
}

const NOTHING_HELD = digestOf([]);
const keyOf = ({ consumerName, dataType }: Asker) => `${dataType} ${consumerName}`;
/**
 * How many agents share a statement. A digest is made of all resources of a consumer, so two runs of a small number:
 * who has few of them does not wait for a thousand others.
 */
const BATCH = {
  key: keyOf,
  sizeMax: 64,
  concurrency: 2,
  waitingMax: 100_000,
  stallMsMax: 30_000,
  meetsAll,
};

/** Makes the one that answers all agents of a server. */
export function createBriefResync(db: Db, log: Logger): BriefResync {
  const readDigest = createBatch((askers: Asker[]) => readDigests(db, askers), {
    ...BATCH,
    name: "compare digests",
  });
  const claim = createBatch((turns: Turn[]) => claimPending(db, turns), {
    ...BATCH,
    name: "send what is pending",
  });
  return {
    async compare({ consumerName, dataType }, versionDigest) {
      const row = await readDigest({ consumerName, dataType });
      return {
        isRight: (row?.version_digest ?? NOTHING_HELD) === versionDigest,
        statusDigest: row?.digest ?? NOTHING_HELD,
      };
    },
    async answer(delivery, request, { isRight }) {
      const { consumerName, dataType, connectedAt, sourceId } = request;
      const fields = { consumer: consumerName, data_type: dataType };
      if (!isRight) {
        delivery.push(listQuestion(request));
        log.debug("asked an agent what it holds", fields);
        return;
      }
      let sent = 0;
      let turn: Turn | undefined = { consumerName, dataType, connectedAt, after: ["", ""] };
      while (turn !== undefined) {
        const { rows, next } = await claim(turn);
        for (const one of rows) delivery.push(toSpecEvent(one, { sourceId, isResync: true }));
        sent += rows.length;
        turn = next !== undefined && await delivery.room() ? next : undefined;
      }
      log.debug("answered a brief resync", { ...fields, sent });
    },
  };
}

/** A row for each asker, undefined where nothing is stored. */
async function readDigests(
  db: Db,
  askers: Asker[],
): Promise<(q.StatusDigestsRow | undefined)[]> {
  const found = new Map<string, q.StatusDigestsRow>();
  for (const [dataType, ofType] of Map.groupBy(askers, (asker) => asker.dataType)) {
    const names = ofType.map(({ consumerName }) => consumerName);
    for (const row of await q.statusDigests(db, names, dataType)) {
      found.set(keyOf({ consumerName: row.consumer_name, dataType }), row);
    }
  }
  return askers.map((asker) => found.get(keyOf(asker)));
}

/** What a lane has too much of for one turn, or all of them together, is left for the next. */
async function claimPending(db: Db, turns: Turn[]): Promise<Claimed[]> {
  const laneCount = turnCount(turns.length * LANES.length);
  const rows = await q.resourceClaimPending(
    db,
    turns.map(({ consumerName }) => consumerName),
    turns.map(({ connectedAt }) => connectedAt),
    turns.map(({ dataType }) => dataType),
    turns.map(({ after: [id] }) => id),
    turns.map(({ after: [, id] }) => id),
    laneCount,
  );
  const isCut = (rows[0]?.found_count ?? 0) > rows.length;
  const ofAsker = Map.groupBy(
    rows,
    ({ consumer_name: consumerName, data_type: dataType }) => keyOf({ consumerName, dataType }),
  );
  return turns.map((turn) => {
    const own = ofAsker.get(keyOf(turn)) ?? [];
    const deletions = own.filter(({ deleted_at }) => deleted_at !== null);
    const isOver = deletions.length < laneCount && own.length - deletions.length < laneCount;
    if (isOver && !isCut) return { rows: own, next: undefined };
    const lastKept = own.findLast(({ deleted_at }) => deleted_at === null)?.id ?? turn.after[0];
    const lastDeleted = deletions.at(-1)?.id ?? turn.after[1];
    return { rows: own, next: { ...turn, after: [lastKept, lastDeleted] } };
  });
}

/** A question for the statuses of nothing, by which our agent knows that its list is wanted. */
function listQuestion(request: BriefRequest): CloudEvent {
  const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
  const question = statusQuestion(request, [NOTHING], made);
  question.extensions[EXT.listWanted] = "true";
  return question;
}
