/** Applies the manifest of one slot, unless the object is as the agent left it, and says what became of it. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Executor } from "../wire/work_spec.ts";
import { applyManifest } from "./apply.ts";
import { setCondition, setVersionedCondition } from "./conditions.ts";
import { endDrift, isHeldBack, notingWrites, reportDrift } from "./drift.ts";
import type { Executors } from "./executor.ts";
import { explainError } from "./explain.ts";
import type { Kube, ObjectRef } from "./kube_api.ts";
import { markOf, type Ownership } from "./metadata.ts";
import { isComplete, observeObject, type Reading } from "./observe.ts";
import type { ManifestOptions } from "./options.ts";
import { shortHash } from "./record.ts";
import { Refusal } from "./refusal.ts";
import { sparingly } from "./take_over.ts";
import { type Wait, waitOf } from "./waits.ts";
import type { Slot } from "./work.ts";

/** A manifest whose place on the cluster is known. */
export interface Located {
  ref: ObjectRef;
  manifest: JsonObject;
  options: ManifestOptions;
  ownership: Ownership;
  executor: Executor | undefined;
  /** Throws if the executor may not apply the object. */
  check: Executors["check"];
  /** The uid by which the object was listed before this life; undefined if it was not. */
  listedUid: string | undefined;
}

/** How a slot's turn ended. `retryAfterMs` is set if only the agent's own patience decides. */
export interface Outcome {
  isApplied: boolean;
  /** Another attempt may succeed: at once with backoff (`0`), or after this time. */
  retryAfterMs?: number;
  /** What is missing on the cluster; its coming is the better moment for another attempt. */
  waitsFor?: Wait;
  /** The cluster did not say whether its object is there. */
  isUnseen?: boolean;
}

/** By which it is known that an object was read by other rules. */
export function hashOfRules({ feedbackRules, conditionRules }: ManifestOptions): string {
  return shortHash([feedbackRules, conditionRules]);
}

/**
 * Brings one slot up to date.
 *
 * Nothing is read or written for a manifest that did not change and whose object a watch says is untouched. Never throws:
 * what went wrong is in the slot's conditions, so that the other manifests go on.
 */
export async function applySlot(
  kube: Kube,
  slot: Slot,
  located: Located,
  reading: Reading,
): Promise<Outcome> {
  const { ref, manifest, options, ownership, executor } = located;
  const { updateStrategy, conditionRules } = options;
  const manifestHash = shortHash(manifest);
  const hash = shortHash([manifestHash, updateStrategy, ownership, executor ?? null]);
  const isNew = slot.appliedHash !== hash;
  // Other rules ask for another look, not for another application.
  const rulesHash = hashOfRules(options);
  const isSame = !isNew && slot.rulesHash === rulesHash;
  if (isSame && isHeldBack(slot)) return { isApplied: true };
  let hasWritten = false;
  const noting = notingWrites(kube, () => hasWritten = true);
  try {
    const { object, isRead, isLeft } = await bring(noting, slot, located, isNew);
    slot.appliedHash = hash;
    slot.manifestHash = manifestHash;
    slot.rulesHash = rulesHash;
    endDrift(slot, { isNew, hasWritten, ...reading });
    setApplied(slot, reading);
    if (isLeft && object !== undefined) slot.mark = markOf(object, updateStrategy.type);
    if (isRead) observeObject(slot, object, reading);
    return { isApplied: true };
  } catch (error) {
    delete slot.appliedHash;
    return await refuse(kube, slot, ref, error, reading);
  }

  async function bring(kube: Kube, slot: Slot, { manifest }: Located, isNew: boolean) {
    if (isSame && slot.isKnown && !slot.isDrifted && conditionRules.length === 0) {
      return { object: undefined, isRead: false, isLeft: false };
    }
    // A rule that is gone finds nothing complete any more, and another manifest is another job.
    const isOver = () =>
      slot.manifestHash === manifestHash && isComplete(slot) &&
      conditionRules.some(({ condition }) => condition === "Complete");
    if (isOver() || (!isNew && !slot.isDrifted)) {
      const live = await kube.get(ref);
      const left = { object: live, isRead: true, isLeft: false };
      if (
        live === undefined ? isOver() : !isNew && slot.mark === markOf(live, updateStrategy.type)
      ) return left;
      if (live !== undefined && !isNew && isOver()) {
        observeObject(slot, live, reading);
        if (isOver()) return left;
      }
    }
    await located.check(executor, ref, manifest, ownership.isOwned);
    // What another agent or an earlier life left may need no write at all.
    const door = slot.isKnown ? kube : sparingly(kube, located.listedUid);
    const isMissing = slot.uid === undefined && located.listedUid === undefined;
    const target = { ref, manifest, strategy: updateStrategy, ownership, isNew, isMissing };
    if (!isNew && slot.driftPolicy?.policy === "report") {
      const apply = (door: Kube) => applyManifest(door, target);
      const object = await reportDrift(kube, slot, () => kube.get(ref), apply, reading);
      return { object, isRead: true, isLeft: true };
    }
    const object = await applyManifest(door, target);
    return { object, isRead: true, isLeft: true };
  }
}

function setApplied(slot: Slot, { version, nowMs }: Reading): void {
  setVersionedCondition(slot.conditions, {
    type: "Applied",
    status: "True",
    observedGeneration: version,
    reason: "AppliedManifestComplete",
    message: "Apply manifest complete",
  }, nowMs);
}

/** Records why a manifest was not applied, and looks whether its object is there all the same. */
export async function refuse(
  kube: Kube,
  slot: Slot,
  ref: ObjectRef | undefined,
  error: unknown,
  reading: Reading,
): Promise<Outcome> {
  const { version, nowMs } = reading;
  const reason = error instanceof Refusal ? error.reason : "AppliedManifestFailed";
  const failed = reason === "AppliedManifestSSAIgnoreFieldError"
    ? "Failed to process ignoreFields"
    : "Failed to apply manifest";
  setVersionedCondition(slot.conditions, {
    type: "Applied",
    status: "False",
    observedGeneration: version,
    reason,
    message: `${failed}: ${explainError(error)}`,
  }, nowMs);
  const isSeen = await look(kube, slot, ref, reading);
  if (!(error instanceof Refusal)) {
    const waitsFor = ref && waitOf(error, ref);
    const retry = { retryAfterMs: 0, ...(waitsFor ? { waitsFor } : {}) };
    return { isApplied: false, isUnseen: !isSeen, ...retry };
  }
  const { retryAfterMs, waitsFor } = error;
  return {
    isApplied: false,
    isUnseen: !isSeen && ref !== undefined,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(waitsFor ? { waitsFor } : {}),
  };
}

/** True if the cluster says whether the object is there. */
async function look(
  kube: Kube,
  slot: Slot,
  ref: ObjectRef | undefined,
  reading: Reading,
): Promise<boolean> {
  const unknown = (reason: string, message: string) => {
    slot.isKnown = true;
    setCondition(
      slot.conditions,
      { type: "Available", status: "Unknown", reason, message },
      reading.nowMs,
    );
    return false;
  };
  if (ref === undefined) return unknown("IncompleteResourceMeta", "Resource meta is incomplete");
  try {
    observeObject(slot, await kube.get(ref), reading);
    return true;
  } catch (error) {
    return unknown("FetchingResourceFailed", `Failed to fetch resource: ${describeError(error)}`);
  }
}
