/** One pass over a work: apply its manifests, remove what it no longer wants, and note both on the cluster. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import type { Alarms } from "./alarms.ts";
import { applySlot, hashOfRules, type Outcome, refuse } from "./apply_slot.ts";
import { loadRules } from "./condition_rules.ts";
import { carryRules, dropOldRules, setCondition } from "./conditions.ts";
import { placePolicy } from "./drift.ts";
import type { Executors } from "./executor.ts";
import type { Fence } from "./fence.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { type AppliedResource, type Ledger, type LedgerEntry, ownerReference } from "./ledger.ts";
import { locate, locateDefined } from "./locate.ts";
import { draftMeta, parseWorkSpec, type WorkSpec } from "./manifest.ts";
import { type Reading, readsWhole } from "./observe.ts";
import { isOrphan, optionsFor, type Ownerships } from "./options.ts";
import { listedUid, namesTheSame, recorded, unwanted, withPlanned } from "./plan.ts";
import { pruneResources } from "./prune.ts";
import { kindRank } from "./rank.ts";
import { alignSlots } from "./slots.ts";
import type { Wait } from "./waits.ts";
import type { Slot, Work } from "./work.ts";
import type { Interest } from "./wants.ts";
import type { Watches } from "./watches.ts";
import type { Witness } from "./witness.ts";

/** What a pass needs of the agent. */
export interface Surroundings {
  kube: Kube;
  ledger: Ledger;
  fence: Fence;
  watches: Watches;
  alarms: Alarms;
  log: Logger;
  nowMs: () => number;
  jsonRawBytesMax: number;
  witness?: Witness | undefined;
  executors: Executors;
}

/** How a pass ended. */
export interface PassResult {
  /** False if a newer spec arrived meanwhile; the pass is then to be repeated at once. */
  isWhole: boolean;
  /** When another attempt is due: 0 with backoff. */
  retryAfterMs?: number;
  /** What is missing on the cluster for manifests that failed. */
  waitsFor: Wait[];
  /** Removed objects that still terminate. */
  pending: number;
}

/** Manifests of one rank that are applied at once. With ten works at once it is less than fetch keeps connections (64). */
const PARALLEL_MAX = 5;

/**
 * Applies a work whose spec is known.
 *
 * Whatever is about to be created is listed on the cluster first, so that neither a crash nor a newer
 * spec can leave behind an object that nobody knows of. `open` returns what owns the objects, given what
 * it should list from the beginning; undefined if it is not ready yet, and the pass then is not made.
 */
export async function applyWork(
  around: Surroundings,
  work: Work,
  open: (
    planned: readonly AppliedResource[],
    ownerships: Ownerships,
  ) => Promise<LedgerEntry | undefined>,
  pruningSinceMs: () => number,
): Promise<PassResult | undefined> {
  const { kube, ledger, watches, log, nowMs, jsonRawBytesMax, witness } = around;
  const { specText = "", version } = work;
  const { spec, slots } = await layOut(kube, work);
  const entry = await open(withPlanned([], slots), spec);
  if (entry === undefined) return undefined;
  watches.want(work.uid, interestsOf(slots));
  await ledger.writeResources(entry, withPlanned(entry.resources, slots));

  const results = new Map<Slot, Outcome>();
  const isCurrent = () =>
    work.specText === specText && work.version === version &&
    work.deletionTimestamp === undefined;
  const readingOf = (slot: Slot): Reading => ({
    options: slot.options ?? { feedbackRules: [], conditionRules: [], updateStrategy: {} },
    version,
    nowMs: nowMs(),
    jsonRawBytesMax,
  });
  const ranks = Map.groupBy(slots, ({ meta }) => kindRank(meta.kind));
  for (const rank of [...ranks.keys()].toSorted((a, b) => a - b)) {
    const pass: Pass = { around, spec, entry, results, isCurrent, readingOf };
    await applyRank(pass, ranks.get(rank) ?? []);
    if (!isCurrent()) return { isWhole: false, waitsFor: [], pending: 0 };
  }
  for (const [slot, outcome] of results) witness?.turned(entry, slot, outcome);

  watches.want(work.uid, interestsOf(slots));
  const gone = unwanted(entry.resources, slots, results);
  const { pending, errors } = await pruneResources(kube, log, gone, {
    owner: ownerReference(entry),
    sinceMs: pruningSinceMs(),
    nowMs: nowMs(),
    ownerships: spec,
    wanted: new Set(slots.flatMap(({ uid }) => uid ?? [])),
    isCurrent,
  });
  for (const error of errors) log.warn("cannot prune", { resource_id: work.uid, error });
  if (errors.length > 0) witness?.undeletable(entry, errors.join("; "));
  const list = [...recorded(slots, results, entry.resources), ...pending];
  // Uids are written a little later, with the record: nothing is lost with them.
  if (namesTheSame(list, entry.resources)) ledger.noteResources(entry, list);
  else await ledger.writeResources(entry, list);
  sumUp(work, results, version, nowMs());
  const delays = [...results.values()].flatMap(({ retryAfterMs }) => retryAfterMs ?? []);
  return {
    isWhole: isCurrent(),
    waitsFor: [...results.values()].flatMap(({ waitsFor }) => waitsFor ?? []),
    pending: pending.length,
    ...(delays.length > 0 ? { retryAfterMs: Math.min(...delays) } : {}),
  };
}

/** Watches the objects of a work that an earlier life has applied, so that what is as it was need not be read. */
export async function lookAround({ kube, watches }: Surroundings, work: Work): Promise<void> {
  const { slots } = await layOut(kube, work);
  // The rules are those of the earlier life, and what the watches tell is read by them.
  for (const slot of slots) if (slot.options) slot.rulesHash ??= hashOfRules(slot.options);
  const sought = interestsOf(slots).map((interest) => ({ ...interest, isSought: true }));
  watches.want(work.uid, sought);
}

/** Gives each manifest its slot, and the slot its place and options. */
async function layOut(kube: Kube, work: Work): Promise<{ spec: WorkSpec; slots: Slot[] }> {
  const spec = parseWorkSpec(work.dataType, work.specText ?? "");
  await loadRules(spec.configs.flatMap(({ conditionRules }) => conditionRules ?? []));
  const slots = alignSlots(work.slots, spec.manifests.map(draftMeta));
  work.slots = slots;
  for (const slot of slots) {
    placePolicy(slot, work.metadata, spec.manifests[slot.meta.ordinal] as JsonObject);
  }
  await Promise.all(slots.map((slot) => placeSlot(kube, slot, spec)));
  return { spec, slots };
}

/** Finds the place of a slot if it can be found before anything is applied. */
async function placeSlot(kube: Kube, slot: Slot, spec: WorkSpec): Promise<void> {
  try {
    const ref = await locate(kube, slot.meta);
    if (ref !== undefined) place(slot, ref, spec);
  } catch {
    // Its turn comes, and there the error becomes its condition.
  }
}

function place(slot: Slot, ref: ObjectRef, { configs }: WorkSpec): void {
  slot.ref = ref;
  slot.meta = { ...slot.meta, resource: ref.type.resource, namespace: ref.namespace };
  slot.options = optionsFor(configs, slot.meta);
}

/** What the turns of one pass share. */
interface Pass {
  around: Surroundings;
  spec: WorkSpec;
  entry: LedgerEntry;
  results: Map<Slot, Outcome>;
  isCurrent: () => boolean;
  readingOf: (slot: Slot) => Reading;
}

/** Applies the manifests of one rank, several at once, until the spec is no longer the one that is held. */
async function applyRank(pass: Pass, slots: readonly Slot[]): Promise<void> {
  const { around: { kube, ledger }, spec, entry, results, isCurrent, readingOf } = pass;
  // A definition that was refused will not be served, however long one waits.
  const applied = [...results].filter(([, { isApplied }]) => isApplied)
    .map(([{ meta }]) => spec.manifests[meta.ordinal] as JsonObject);
  const placed: { slot: Slot; ref: ObjectRef }[] = [];
  await Promise.all(slots.map(async (slot) => {
    const { ordinal } = slot.meta;
    try {
      const meta = draftMeta(spec.manifests[ordinal] as JsonObject, ordinal);
      const ref = await locateDefined(kube, meta, applied);
      place(slot, ref, spec);
      placed.push({ slot, ref });
    } catch (error) {
      results.set(slot, await refuse(kube, slot, undefined, error, readingOf(slot)));
    }
  }));
  // One write for all whose definition came with this work; mostly there is nothing new.
  await ledger.writeResources(entry, withPlanned(entry.resources, slots));
  const next = placed.values();
  const workers = Array.from({ length: Math.min(PARALLEL_MAX, placed.length) }, async () => {
    for (const { slot, ref } of next) {
      if (!isCurrent()) return;
      results.set(slot, await turn(pass, slot, ref));
    }
  });
  await Promise.all(workers);
}

async function turn(
  { around: { kube, executors }, spec, entry, readingOf }: Pass,
  slot: Slot,
  ref: ObjectRef,
): Promise<Outcome> {
  const manifest = spec.manifests[slot.meta.ordinal] as JsonObject;
  const reading = readingOf(slot);
  const { options } = reading;
  const ownership = {
    owner: ownerReference(entry),
    isOwned: !isOrphan(spec.deleteOption, slot.meta, options),
  };
  const { executor } = spec;
  const uid = listedUid(entry.resources, slot);
  const { check } = executors;
  const located = { ref, manifest, options, ownership, executor, check, listedUid: uid };
  return await applySlot(kube, slot, located, reading);
}

function interestsOf(slots: readonly Slot[]): Interest[] {
  return slots.flatMap((slot) =>
    slot.ref === undefined ? [] : [{ ref: slot.ref, isWhole: readsWhole(slot) }]
  );
}

function sumUp(
  work: Work,
  results: ReadonlyMap<Slot, Outcome>,
  version: number,
  nowMs: number,
): void {
  const failed = [...results.values()].some(({ isApplied }) => !isApplied);
  for (const { conditions, options } of work.slots) {
    carryRules(conditions, options?.conditionRules ?? [], version);
    dropOldRules(conditions, version);
  }
  setCondition(work.conditions, {
    type: "Applied",
    status: failed ? "False" : "True",
    observedGeneration: version,
    reason: failed ? "AppliedManifestWorkFailed" : "AppliedManifestWorkComplete",
    message: failed ? "Failed to apply manifest work" : "Apply manifest work complete",
  }, nowMs);
}

/** The status of a work that could not even be tried, or is refused as a whole. */
export function setWorkRefused(
  work: Work,
  reason: "InvalidManifest" | "AppliedManifestWorkFailed",
  error: unknown,
  nowMs: number,
): void {
  const message = reason === "InvalidManifest"
    ? `The manifests are invalid: ${describeError(error)}`
    : `Failed to apply manifest work: ${describeError(error)}`;
  setCondition(work.conditions, {
    type: "Applied",
    status: "False",
    observedGeneration: work.version,
    reason,
    message,
  }, nowMs);
}
