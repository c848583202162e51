/** One pass over a work: apply its manifests, remove what it no longer wants, and note both on the cluster. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Logger } from "../log.ts";
import { applySlot, type Outcome, refuse } from "./apply_slot.ts";
import { loadRules } from "./condition_rules.ts";
import { dropOldRules, setCondition } from "./conditions.ts";
import type { Fence } from "./fence.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { type AppliedResource, type Ledger, type LedgerEntry, ownerReference } from "./ledger.ts";
import { locate, locateDefined } from "./locate.ts";
import { draftMeta, parseWorkSpec, type WorkSpec } from "./manifest.ts";
import type { Reading } from "./observe.ts";
import { isOwned, optionsFor } from "./options.ts";
import { pruneResources } from "./prune.ts";
import { kindRank } from "./rank.ts";
import { mayBeReady } from "./readiness.ts";
import { alignSlots } from "./slots.ts";
import type { Slot, Work } from "./work.ts";
import type { Interest, Watches } from "./watches.ts";

/** What a pass needs of the agent. */
export interface Surroundings {
  kube: Kube;
  ledger: Ledger;
  fence: Fence;
  watches: Watches;
  log: Logger;
  nowMs: () => number;
  jsonRawBytesMax: number;
}

/** How a pass ended. */
export interface PassResult {
  /** False if a newer spec arrived meanwhile; the pass is then to be repeated at once. */
  isWhole: boolean;
  /** When another attempt is due: 0 with backoff. */
  retryAfterMs?: number;
  /** Removed objects that still terminate. */
  pending: number;
}

/**
 * Applies a work whose spec is known.
 *
 * Whatever is about to be created is listed on the cluster first, so that neither a crash nor a newer
 * spec can leave behind an object that nobody knows of.
 */
export async function applyWork(
  around: Surroundings,
  work: Work,
  entry: LedgerEntry,
  pruningSinceMs: number,
): Promise<PassResult> {
  const { kube, ledger, watches, log, nowMs, jsonRawBytesMax } = around;
  const { specText = "", version } = work;
  const spec = parseWorkSpec(work.dataType, specText);
  await loadRules(spec.configs.flatMap(({ conditionRules }) => conditionRules ?? []));
  const slots = alignSlots(work.slots, spec.manifests.map(draftMeta));
  work.slots = slots;
  await Promise.all(slots.map((slot) => placeSlot(kube, slot, spec)));
  watches.want(work.uid, interestsOf(slots));
  await ledger.writeResources(entry, withPlanned(entry.resources, slots));

  const results = new Map<Slot, Outcome>();
  const isCurrent = () =>
    work.specText === specText && work.version === version &&
    work.deletionTimestamp === undefined;
  const order = slots.toSorted((a, b) => kindRank(a.meta.kind) - kindRank(b.meta.kind));
  for (const slot of order) {
    if (!isCurrent()) return { isWhole: false, pending: 0 };
    const readingOf = (slot: Slot): Reading => ({
      options: slot.options ?? { feedbackRules: [], conditionRules: [], updateStrategy: {} },
      version,
      nowMs: nowMs(),
      jsonRawBytesMax,
    });
    results.set(slot, await turn(around, slot, spec, entry, readingOf));
  }

  watches.want(work.uid, interestsOf(slots));
  const unwanted = entry.resources.filter((old) => !isWanted(old, slots));
  const owner = ownerReference(entry);
  const { pending, errors } = await pruneResources(kube, log, unwanted, {
    owner,
    sinceMs: pruningSinceMs,
    nowMs: nowMs(),
  });
  for (const error of errors) log.warn("cannot prune", { resource_id: work.uid, error });
  await ledger.writeResources(entry, [...recorded(slots, results, entry.resources), ...pending]);
  sumUp(work, results, version, nowMs());
  const delays = [...results.values()].flatMap(({ retryAfterMs }) => retryAfterMs ?? []);
  return {
    isWhole: isCurrent(),
    pending: pending.length,
    ...(delays.length > 0 ? { retryAfterMs: Math.min(...delays) } : {}),
  };
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

async function turn(
  { kube, ledger }: Surroundings,
  slot: Slot,
  spec: WorkSpec,
  entry: LedgerEntry,
  readingOf: (slot: Slot) => Reading,
): Promise<Outcome> {
  const manifest = spec.manifests[slot.meta.ordinal] as JsonObject;
  let ref: ObjectRef | undefined;
  try {
    ref = await locateDefined(kube, draftMeta(manifest, slot.meta.ordinal), spec.manifests);
    place(slot, ref, spec);
    await ledger.writeResources(entry, withPlanned(entry.resources, [slot]));
  } catch (error) {
    return await refuse(kube, slot, ref, error, readingOf(slot));
  }
  const reading = readingOf(slot);
  const ownership = {
    owner: ownerReference(entry),
    isOwned: isOwned(spec.deleteOption, slot.meta) &&
      reading.options.updateStrategy.type !== "ReadOnly",
  };
  const { executor } = spec;
  const located = { ref, manifest, options: reading.options, ownership, executor };
  return await applySlot(kube, slot, located, reading);
}

function interestsOf(slots: readonly Slot[]): Interest[] {
  return slots.flatMap(({ ref, options, meta }) => {
    if (ref === undefined) return [];
    const rules = (options?.feedbackRules.length ?? 0) + (options?.conditionRules.length ?? 0);
    return [{ ref, isWhole: rules > 0 || mayBeReady(meta) }];
  });
}

/** The list with the objects of these slots, whose uids are not known yet. */
function withPlanned(
  resources: readonly AppliedResource[],
  slots: readonly Slot[],
): AppliedResource[] {
  const planned = slots.filter(({ meta, options }) =>
    meta.resource !== "" && options?.updateStrategy.type !== "ReadOnly" &&
    !resources.some((entry) => isOf(entry, meta))
  );
  return [...resources, ...planned.map(({ meta }) => toResource(meta, ""))];
}

function toResource(meta: Slot["meta"], uid: string): AppliedResource {
  const { group, version, resource, namespace, name } = meta;
  return { group, version, resource, namespace, name, uid };
}

function isOf(entry: AppliedResource, meta: Slot["meta"]): boolean {
  return entry.group === meta.group && entry.resource === meta.resource &&
    entry.namespace === meta.namespace && entry.name === meta.name;
}

/** A manifest whose resource is not known keeps whatever might be its object. */
function isWanted(entry: AppliedResource, slots: readonly Slot[]): boolean {
  return slots.some(({ meta }) =>
    isOf(meta.resource === "" ? { ...entry, resource: "" } : entry, meta) ||
    (meta.resource === "" && entry.group === meta.group && entry.name === meta.name)
  );
}

/** What is on the cluster now. An object of which nothing is known stays in the list. */
function recorded(
  slots: readonly Slot[],
  results: ReadonlyMap<Slot, Outcome>,
  before: readonly AppliedResource[],
): AppliedResource[] {
  const kept = before.filter((entry) =>
    slots.some((slot) => slot.meta.resource === "" ? isWanted(entry, [slot]) : false)
  );
  const own = slots.flatMap((slot) => {
    if (slot.meta.resource === "") return [];
    if (slot.uid !== undefined) return [toResource(slot.meta, slot.uid)];
    const old = before.find((entry) => isOf(entry, slot.meta));
    return results.get(slot)?.isApplied || old === undefined ? [] : [old];
  });
  return [...new Map([...own, ...kept].map((entry) => [keyOf(entry), entry])).values()];
}

function keyOf({ group, resource, namespace, name }: AppliedResource): string {
  return `${group}/${resource}/${namespace}/${name}`;
}

function sumUp(
  work: Work,
  results: ReadonlyMap<Slot, Outcome>,
  version: number,
  nowMs: number,
): void {
  const failed = [...results.values()].some(({ isApplied }) => !isApplied);
  for (const { conditions } of work.slots) dropOldRules(conditions, version);
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
