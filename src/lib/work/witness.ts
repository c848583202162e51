/** What the agent shows of its work, as types: metrics count it, and Kubernetes Events tell of it. */

import type { QueueMeter, QueueState } from "../keyed_queue.ts";
import type { Outcome } from "./apply_slot.ts";
import type { LedgerEntry } from "./ledger.ts";
import type { Slot } from "./work.ts";

/** Told what happens, as it happens. It never throws, and nobody waits for it. */
export interface Witness {
  /** A manifest had its turn in a pass. Why it was not applied is in the slot's conditions. */
  turned(entry: LedgerEntry, slot: Slot, outcome: Outcome): void;
  /** Somebody changed an object; a pass will set it right. */
  drifted(slot: Slot): void;
  /** Objects of this entry could not be deleted, or have been terminating for long. */
  undeletable(entry: LedgerEntry, message: string): void;
  /** The meter of a queue. */
  queue(name: string): QueueMeter;
}

/** What waits at this moment. */
export interface Backlog {
  isConnected: boolean;
  works: number;
  /** Works that are being deleted, and are not confirmed as gone yet. */
  deletions: number;
  /** AppliedManifestWorks whose works the server has not sent. */
  unclaimed: number;
  passes: QueueState;
  reports: ReportBacklog;
}

export interface ReportBacklog extends QueueState {
  /** Works whose status the server has yet to hear. */
  waiting: number;
  /** How long the oldest of them waits, in milliseconds; 0 without one. */
  oldestMs: number;
}
