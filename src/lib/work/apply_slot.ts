/** Applies the manifest of one slot, unless the object is as the agent left it, and says what became of it. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Executor } from "../wire/work_spec.ts";
import { applyManifest } from "./apply.ts";
import { setCondition, setVersionedCondition } from "./conditions.ts";
import { endDrift, isHeldBack, reportDrift } from "./drift.ts";
import { checkExecutor } from "./executor.ts";
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
  const hash = shortHash([manifest, options, ownership, executor ?? null]);
  const isNew = slot.appliedHash !== hash;
  if (!isNew && isHeldBack(slot, reading.nowMs)) return { isApplied: true };
  try {
    const { object, isRead } = await bring(kube, slot, located, isNew);
    slot.appliedHash = hash;
    endDrift(slot, { isNew, ...reading });
    setApplied(slot, reading);
    if (isRead) {
      if (object !== undefined) slot.mark = markOf(object);
      observeObject(slot, object, reading);
    }
    return { isApplied: true };
  } catch (error) {
    delete slot.appliedHash;
    return await refuse(kube, slot, ref, error, reading);
  }

  async function bring(kube: Kube, slot: Slot, { manifest }: Located, isNew: boolean) {
    if (!isNew && slot.isKnown && !slot.isDrifted && options.conditionRules.length === 0) {
      return { object: undefined, isRead: false };
    }
    if (!isNew && (isComplete(slot) || !slot.isDrifted)) {
      const live = await kube.get(ref);
      const isAsLeft = live !== undefined && slot.mark === markOf(live);
      if (isAsLeft || isComplete(slot)) return { object: live, isRead: true };
    }
    await checkExecutor(kube, executor, ref, ownership.isOwned);
    const strategy = options.updateStrategy;
    // What another agent or an earlier life left may need no write at all.
    const door = slot.isKnown ? kube : sparingly(kube, located.listedUid);
    const isMissing = slot.uid === undefined && located.listedUid === undefined;
    const target = { ref, manifest, strategy, ownership, isNew, isMissing };
    if (!isNew && slot.driftPolicy?.policy === "report") {
      const apply = (door: Kube) => applyManifest(door, target);
      const object = await reportDrift(kube, slot, () => kube.get(ref), apply, reading);
      return { object, isRead: true };
    }
    const object = await applyManifest(door, target);
    return { object, isRead: true };
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
  await look(kube, slot, ref, reading);
  if (!(error instanceof Refusal)) {
    const waitsFor = ref && waitOf(error, ref);
    return { isApplied: false, retryAfterMs: 0, ...(waitsFor ? { waitsFor } : {}) };
  }
  const { retryAfterMs, waitsFor } = error;
  return {
    isApplied: false,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(waitsFor ? { waitsFor } : {}),
  };
}

async function look(
  kube: Kube,
  slot: Slot,
  ref: ObjectRef | undefined,
  reading: Reading,
): Promise<void> {
  const unknown = (reason: string, message: string) => {
    slot.isKnown = true;
    setCondition(
      slot.conditions,
      { type: "Available", status: "Unknown", reason, message },
      reading.nowMs,
    );
  };
  if (ref === undefined) return unknown("IncompleteResourceMeta", "Resource meta is incomplete");
  try {
    observeObject(slot, await kube.get(ref), reading);
  } catch (error) {
    unknown("FetchingResourceFailed", `Failed to fetch resource: ${describeError(error)}`);
  }
}
