/** Deletes what a deleted work has applied, and says what that waits for. */

import type { Logger } from "../log.ts";
import { setCondition } from "./conditions.ts";
import type { Kube } from "./kube_api.ts";
import { type AppliedResource, type Ledger, type LedgerEntry, ownerReference } from "./ledger.ts";
import type { Ownerships } from "./options.ts";
import { isToStay, type Pruned, pruneResources, type Wait } from "./prune.ts";
import type { Works } from "./receive.ts";
import type { Witness } from "./witness.ts";
import type { Work } from "./work.ts";

/** Peers say this and no more. */
const DELETING = "ManifestWork is being deleted";
/** Deletions that take less are not worth a report of their own. */
const SILENT_MS = 2_000;
/** What is waited for changes with every object that goes: it is said less and less often. */
const REPORT_FACTOR = 3;
const REPORT_PAUSE_MS_MAX = 300_000;
/** What takes so long is told to whoever watches the cluster, too: pods that end in order are gone by then. */
const STUCK_MS = 60_000;

const SHOWN_MAX = 3;
const FINALIZERS_SHOWN_MAX = 3;
const NAME_CHARS_MAX = 253;

/** What deletions need of the agent. */
export interface DeletionParts {
  kube: Kube;
  ledger: Ledger;
  works: Works;
  log: Logger;
  nowMs: () => number;
  /** The status of this work may have changed. */
  changed: (uid: string) => void;
  witness?: Witness | undefined;
}

export interface Deletions {
  /** Deletes the objects of an AppliedManifestWork that is deleted, and lets it go; what is left otherwise. */
  finalise(entry: LedgerEntry, ownerships?: Ownerships): Promise<Pruned | undefined>;
  /** Deletes all that a work has applied; true if it is gone. */
  advance(work: Work): Promise<boolean>;
}

/** What is remembered of a deletion that takes several rounds. */
interface Memory {
  sinceMs: number;
  saidAtMs: number;
  pauseMs: number;
}

/** Creates the deletions of one agent; none is under way. */
export function createDeletions(parts: DeletionParts): Deletions {
  const { kube, ledger, works, log, nowMs, changed, witness } = parts;
  // Each life has its own, and nobody needs to see its end: a name may come again, and an entry may go by another's hand.
  const memories = new WeakMap<Work | LedgerEntry, Memory>();

  const memoryOf = (key: Work | LedgerEntry): Memory => {
    const now = nowMs();
    const found = memories.get(key) ?? { sinceMs: now, saidAtMs: now, pauseMs: SILENT_MS };
    // A clock that stepped back would put off everything that waits for a time to pass.
    found.sinceMs = Math.min(found.sinceMs, now);
    found.saidAtMs = Math.min(found.saidAtMs, now);
    memories.set(key, found);
    return found;
  };

  const prune = async (
    entry: LedgerEntry,
    resources: readonly AppliedResource[],
    ownerships: Ownerships | undefined,
  ): Promise<Pruned> => {
    const pruned = await pruneResources(kube, log, resources, {
      owner: ownerReference(entry),
      sinceMs: memoryOf(entry).sinceMs,
      nowMs: nowMs(),
      ownerships,
    });
    for (const error of pruned.errors) log.warn("cannot delete", { work: entry.workName, error });
    return pruned;
  };

  /**
   * Lets go what is to stay, and then marks the entry as deleted; what could not be let go otherwise. Whoever finds the
   * mark carries it out, as this agent does after a crash, and knows no spec that says what stays.
   */
  const begin = async (
    entry: LedgerEntry,
    ownerships: Ownerships | undefined,
  ): Promise<Pruned | undefined> => {
    if (entry.isDeleting) return undefined;
    const stay = entry.resources.filter((resource) => isToStay(resource, ownerships));
    const pruned = await prune(entry, stay, ownerships);
    if (pruned.pending.length > 0) return pruned;
    ledger.noteResources(entry, entry.resources.filter((resource) => !stay.includes(resource)));
    await ledger.startDeletion(entry);
    return undefined;
  };

  const finalise = async (
    entry: LedgerEntry,
    ownerships?: Ownerships,
  ): Promise<Pruned | undefined> => {
    const pruned = await prune(entry, entry.resources, ownerships);
    await ledger.writeResources(entry, pruned.pending);
    if (pruned.pending.length > 0) return pruned;
    await ledger.release(entry);
    return undefined;
  };

  /** Says that the work is being deleted; what it waits for only now and then. */
  const say = (work: Work, left?: Pruned[]) => {
    const memory = memoryOf(work);
    const before = work.conditions.find(({ type }) => type === "Deleting");
    const isDue = left !== undefined && nowMs() - memory.saidAtMs >= memory.pauseMs;
    const message = isDue ? describeLeft(left) : before?.message ?? DELETING;
    if (isDue) {
      memory.saidAtMs = nowMs();
      memory.pauseMs = Math.min(memory.pauseMs * REPORT_FACTOR, REPORT_PAUSE_MS_MAX);
      const [entry] = entriesOf(ledger, works, work);
      if (entry !== undefined && nowMs() - memory.sinceMs >= STUCK_MS) {
        witness?.undeletable(entry, message);
      }
    }
    setCondition(work.conditions, {
      type: "Deleting",
      status: "True",
      observedGeneration: work.version,
      reason: "WorkDeleting",
      message,
    }, nowMs());
    // After a restart nothing is known of the objects, and the server knows more than we could say.
    work.isSettled = work.slots.length > 0 && work.slots.every((slot) => slot.isKnown);
    changed(work.uid);
  };

  return {
    finalise,
    async advance(work) {
      // What was applied has an owner on the cluster. Nothing is confirmed only because that is forgotten here.
      // Nor because the answer was lost to the call that made it.
      const isBegun = work.slots.length > 0;
      if (isBegun && ledger.get(work.name) === undefined) await ledger.seek(work.name);
      const entries = entriesOf(ledger, works, work);
      if (entries.length === 0) return true;
      say(work);
      const left: Pruned[] = [];
      for (const entry of entries) {
        const { ownerships } = work;
        const rest = await begin(entry, ownerships) ?? await finalise(entry, ownerships);
        if (rest !== undefined) left.push(rest);
      }
      if (left.length > 0) {
        say(work, left);
        return false;
      }
      return true;
    },
  };
}

/** The entries of a work, but none that has become another work's. */
function entriesOf(ledger: Ledger, works: Works, work: Work): LedgerEntry[] {
  const own = ledger.get(work.name) ?? ledger.lost(work.name);
  const entries = [...(own === undefined ? [] : [own]), ...ledger.predecessors(work.name)];
  return entries.filter(({ workUid }) => {
    if (workUid === work.uid) return true;
    // A peer may take a work's name for the id of another.
    return ![...works.values()].some((other) => other !== work && other.name === work.name);
  });
}

function describeLeft(left: readonly Pruned[]): string {
  const waits = left.flatMap(({ waits }) => waits);
  const errors = left.flatMap(({ errors }) => errors);
  const reasons = [
    ...waits.map((wait) => `waits for ${describeWait(wait)}`),
    ...errors.map((error) => `cannot delete ${cut(error)}`),
  ];
  if (reasons.length === 0) return DELETING;
  const more = reasons.length - SHOWN_MAX;
  const shown = reasons.slice(0, SHOWN_MAX).join("; ");
  return `${DELETING}: ${shown}${more > 0 ? `; and ${more} more` : ""}`;
}

function describeWait({ entry, finalizers, since }: Wait): string {
  const { group, resource, namespace, name } = entry;
  const type = group === "" ? resource : `${resource}.${group}`;
  const place = namespace === "" ? name : `${namespace}/${name}`;
  const shown = finalizers.slice(0, FINALIZERS_SHOWN_MAX).map(cut).join(", ");
  const more = finalizers.length > FINALIZERS_SHOWN_MAX ? ", …" : "";
  const who = finalizers.length > 0 ? ` (finalizers: ${shown}${more})` : "";
  return `${type} ${place}${who} since ${since}`;
}

function cut(text: string): string {
  return text.length <= NAME_CHARS_MAX ? text : `${text.slice(0, NAME_CHARS_MAX - 1)}…`;
}
