/** What a source asks an agent: the statuses that differ from the hashes that are stored. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import type { CloudEvent } from "../wire/event.ts";
import { type HeldStatus, statusQuestion } from "../wire/resync.ts";
import { NO_STATUS_HASH } from "../wire/status_hash.ts";
import { formatTime } from "../wire/time.ts";

/** As many as the Go server puts into one event. */
const HASHES_MAX = 1_000;

/**
 * The questions to a consumer's agent, together about all its resources; none if it has none, since an empty list
 * asks for everything. The body of each has at most `bytesMax` bytes.
 */
export async function* statusQuestions(
  db: Db,
  { consumerName, sourceId, bytesMax }: {
    consumerName: string;
    sourceId: string;
    bytesMax: number;
  },
): AsyncGenerator<CloudEvent> {
  let afterId = "";
  for (;;) {
    const rows = await q.statusHashesOfConsumer(db, consumerName, afterId, HASHES_MAX);
    for (const [dataType, ofType] of Map.groupBy(rows, ({ data_type }) => data_type)) {
      const held = ofType.map(({ id, status_hash }) => ({
        resourceId: id,
        hash: status_hash ?? NO_STATUS_HASH,
      }));
      for (const part of cut(held, bytesMax)) {
        const made = { id: crypto.randomUUID(), time: formatTime(Date.now()) };
        yield statusQuestion({ consumerName, dataType, sourceId }, part, made);
      }
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < HASHES_MAX) return;
    afterId = last.id;
  }
}

const ENTRY_BYTES = `{"resourceID":"","statusHash":""},`.length;

function cut(held: HeldStatus[], bytesMax: number): HeldStatus[][] {
  const parts: HeldStatus[][] = [];
  let bytes = Infinity;
  for (const one of held) {
    const size = ENTRY_BYTES + one.resourceId.length + one.hash.length;
    if (bytes + size > bytesMax) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(one);
    bytes += size;
  }
  return parts;
}
