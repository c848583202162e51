/**
 * Decides what a work needs now: an apply pass, its deletion, or nothing.
 *
 *   received ──pass──▶ settled ◀── sightings, drift, newer specs ask for another pass
 *       │                 │
 *       └── deleted ──────┴──▶ deleting ──objects gone──▶ gone ──confirmed──▶ forgotten
 *
 * There is no way back from deleting.
 */

import { backoffMs, type BackoffOptions } from "../backoff.ts";
import { createDeletions } from "./deletion.ts";
import { calmDown, DRIFT_PACE, type DriftPace } from "./drift.ts";
import type { AppliedResource, LedgerEntry } from "./ledger.ts";
import {
  applyWork,
  lookAround,
  type PassResult,
  setWorkRefused,
  type Surroundings,
} from "./pass.ts";
import type { Ownerships } from "./options.ts";
import { releasePredecessors } from "./predecessors.ts";
import type { Works } from "./receive.ts";
import { labelsOf } from "./report.ts";
import { createSight, type Sight } from "./sight.ts";
import type { Work } from "./work.ts";

/** Pauses between looks at objects that terminate. */
const PENDING = { firstMs: 50, factor: 2, ceilingMs: 10_000 };
/** After a restart one watch tells of hundreds of objects; what it has not told after ten seconds is read one by one. */
const LOOK_MS = 250;
const LOOKS_MAX = 40;
/** A pass that fails as a whole this often is reported: fewer may be a hiccup of the API. */
const SILENT_FAILURES_MAX = 3;

/** Rounds for a former AppliedManifestWork to go, some three seconds, before it is told what is waited for. */
const SILENT_ROUNDS_MAX = 6;

/** How fast what did not stay, or did not come to be, is done again. */
export interface Pace {
  drift: DriftPace;
  /** Pauses before failed manifests are tried again. */
  retry: BackoffOptions;
}

const PACE: Pace = {
  drift: DRIFT_PACE,
  retry: { firstMs: 200, factor: 2, ceilingMs: 60_000 },
};

/** Who is told what the reconciler finds. */
export interface Told {
  /** The status may have changed. */
  changed(uid: string, pace?: "urgent"): void;
  /** An object is not as it was left: a pass is due after this time. */
  drifted(uid: string, delayMs: number): void;
  /** A pass has ended: what it learned is worth keeping. */
  passed(work: Work): void;
}

export interface Reconciler {
  /** Brings one work forward; returns the milliseconds after which it needs another turn. */
  reconcile(uid: string): Promise<number | undefined>;
  /** Deletes the objects of an AppliedManifestWork that was deleted; true if all are gone. */
  finalise(entry: LedgerEntry): Promise<boolean>;
  /** Takes what a watch saw. */
  see: Sight["see"];
  /** The work is no more. */
  forget(uid: string): void;
}

/** What the reconciler remembers of a work between two turns. */
interface Memory {
  failures: number;
  pendingRounds: number;
  pruningSinceMs?: number;
  /** How often it has waited for what watches tell of its objects, after a restart. */
  looks: number;
}

/** True for a work that an earlier life has applied, and of which not everything was seen in this one. */
function isAsBefore({ version, versionFloor, slots }: Work, looks: number): boolean {
  return version === versionFloor &&
    slots.some(({ isKnown, appliedHash, ref }) =>
      !isKnown && appliedHash !== undefined && (looks === 0 || ref !== undefined)
    );
}

/** Creates a reconciler over the works of one agent. */
export function createReconciler(
  around: Surroundings,
  works: Works,
  told: Told,
  pace: Pace = PACE,
): Reconciler {
  const { kube, ledger, fence, watches, alarms, log, nowMs, jsonRawBytesMax, witness } = around;
  const sight = createSight(works, { ...told, read: watches.read }, {
    nowMs,
    jsonRawBytesMax,
    pace: pace.drift,
    witness,
  });
  const memories = new Map<string, Memory>();

  const memoryOf = (uid: string): Memory => {
    const found = memories.get(uid) ?? { failures: 0, pendingRounds: 0, looks: 0 };
    memories.set(uid, found);
    return found;
  };

  const { changed } = told;
  const deletions = createDeletions({ kube, ledger, works, log, nowMs, changed, witness });
  const finalise = async (entry: LedgerEntry, ownerships?: Ownerships) =>
    await deletions.finalise(entry, ownerships) === undefined;

  const pendingDelay = (memory: Memory) =>
    backoffMs(memory.pendingRounds++, PENDING, Math.random());

  const finish = async (work: Work, deletionTimestamp: string): Promise<number | undefined> => {
    // Before anything goes: whoever kills this process must not let a late event bring it back.
    const isTimed = work.readAt !== undefined;
    if (!work.isGone) await fence.raise(work.uid, { deletionTimestamp, isTimed });
    if (!work.isGone && !await deletions.advance(work)) return pendingDelay(memoryOf(work.uid));
    watches.want(work.uid, []);
    alarms.set(work.uid, []);
    work.isGone = true;
    log.debug("deleted work", { resource_id: work.uid });
    told.changed(work.uid, "urgent");
    return undefined;
  };

  /** The entry that owns the objects; one that somebody deleted is carried out first. */
  const entryOf = async (
    work: Work,
    planned: readonly AppliedResource[],
    ownerships: Ownerships,
  ): Promise<LedgerEntry | undefined> => {
    const entry = await ledger.ensure(work, labelsOf(work), planned);
    if (!entry.isDeleting) return entry;
    if (!await finalise(entry, ownerships)) return undefined;
    for (const slot of work.slots) {
      delete slot.appliedHash;
      slot.isKnown = false;
    }
    const next = await ledger.ensure(work, labelsOf(work), planned);
    // Somebody else holds the old one: what it would own is collected with it.
    return next.isDeleting ? undefined : next;
  };

  /** Of a work that cannot be applied now: somebody may have deleted its entry all the same. */
  const carryOut = async ({ name, uid }: Work): Promise<number | undefined> => {
    const entry = ledger.get(name);
    if (!entry?.isDeleting || await finalise(entry)) return undefined;
    return pendingDelay(memoryOf(uid));
  };

  const pass = async (work: Work): Promise<PassResult | undefined> => {
    const memory = memoryOf(work.uid);
    sight.hold(work.uid);
    try {
      let owned: LedgerEntry | undefined;
      const enter = async (planned: readonly AppliedResource[], ownerships: Ownerships) => {
        owned = await entryOf(work, planned, ownerships);
        return owned;
      };
      const result = await applyWork(around, work, enter, () => {
        // Not later than now, though the clock may have stepped back.
        return memory.pruningSinceMs = Math.min(memory.pruningSinceMs ?? Infinity, nowMs());
      });
      if (result?.isWhole && result.pending === 0 && owned !== undefined) {
        await releasePredecessors(around, work, owned);
      }
      return result;
    } finally {
      sight.release(work.uid);
    }
  };

  const settle = (work: Work) => {
    work.isSettled = true;
    told.changed(work.uid, "urgent");
  };

  const applyLive = async (work: Work): Promise<number | undefined> => {
    const memory = memoryOf(work.uid);
    if (memory.looks < LOOKS_MAX && isAsBefore(work, memory.looks)) {
      if (memory.looks++ === 0) await lookAround(around, work);
      return LOOK_MS;
    }
    let result: PassResult | undefined;
    try {
      result = await pass(work);
    } catch (error) {
      memory.failures++;
      if (memory.failures >= SILENT_FAILURES_MAX && work.deletionTimestamp === undefined) {
        setWorkRefused(work, "AppliedManifestWorkFailed", error, nowMs());
        settle(work);
      }
      throw error;
    }
    if (result === undefined) {
      if (memory.pendingRounds >= SILENT_ROUNDS_MAX && work.deletionTimestamp === undefined) {
        const state = "its former AppliedManifestWork is still being deleted";
        setWorkRefused(work, "AppliedManifestWorkFailed", state, nowMs());
        settle(work);
      }
      return pendingDelay(memory);
    }
    if (!result.isWhole) return 0;
    const delays = work.slots.flatMap((slot) => calmDown(slot, pace.drift) ?? []);
    settle(work);
    alarms.set(work.uid, result.waitsFor);
    told.passed(work);
    if (result.pending > 0) delays.push(pendingDelay(memory));
    else {
      memory.pendingRounds = 0;
      delete memory.pruningSinceMs;
    }
    if (result.retryAfterMs === undefined) memory.failures = 0;
    // Zero means that nobody knows a better time than the backoff.
    else if (result.retryAfterMs > 0) delays.push(result.retryAfterMs);
    else delays.push(backoffMs(memory.failures++, pace.retry, Math.random()));
    return delays.length > 0 ? Math.min(...delays) : undefined;
  };

  return {
    async reconcile(uid) {
      const work = works.get(uid);
      if (work === undefined) return undefined;
      const { deletionTimestamp } = work;
      if (deletionTimestamp !== undefined) return await finish(work, deletionTimestamp);
      if (work.rejection !== undefined) {
        setWorkRefused(work, "InvalidManifest", work.rejection, nowMs());
        settle(work);
        return await carryOut(work);
      }
      // Known from before a restart only: its spec is on the way.
      if (work.specText === undefined) return await carryOut(work);
      return await applyLive(work);
    },
    finalise,
    see: sight.see,
    forget(uid) {
      memories.delete(uid);
      watches.want(uid, []);
      alarms.set(uid, []);
    },
  };
}
