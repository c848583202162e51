/** What the last life of an agent knew: its works, its last sequence id, and deletions that it had begun. */

import { isNewerSequence, isSequence } from "../wire/sequence.ts";
import { createFence, type Fence } from "./fence.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { Works } from "./receive.ts";
import { restoreWork } from "./record.ts";

/** How far the last sequence id may be ahead of the one on record, which is written a little later. */
const SEQUENCE_SLACK = 10_000n << 22n;

export interface Recalled {
  works: Works;
  /** What has a turn to come, though perhaps no work: a begun deletion, or eviction. */
  unfinished: LedgerEntry[];
  /** No sequence id may be below. */
  floor: string | undefined;
  fence: Fence;
  /** The works that other agents have applied here. */
  strangers: Map<string, string[]>;
}

/** Reads the ledger. */
export async function recall(ledger: Ledger, nowMs: number): Promise<Recalled> {
  const works: Works = new Map();
  const names = new Set<string>();
  const unfinished: LedgerEntry[] = [];
  let last: string | undefined;
  const { works: loaded, deletedUntil, strangers } = await ledger.load();
  for (const { entry, record } of loaded) {
    if (entry.isDeleting || entry.isEvicting) unfinished.push(entry);
    // Under an old hub name it is what was known then; a work that is under the new one knows more.
    if (record === undefined || works.has(record.uid) || names.has(entry.workName)) continue;
    works.set(record.uid, restoreWork(record, entry.workName));
    names.add(entry.workName);
    const { sequence } = record;
    if (sequence !== undefined && isSequence(sequence) && isNewerSequence(sequence, last)) {
      last = sequence;
    }
  }
  const floor = last === undefined ? undefined : (BigInt(last) + SEQUENCE_SLACK).toString();
  const fence = createFence({ deletedUntil, keep: ledger.keepDeletedUntil }, nowMs);
  return { works, unfinished, floor, fence, strangers };
}
