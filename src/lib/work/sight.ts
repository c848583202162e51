/** Takes what watches see into the slots of works, and notices what others changed. */

import { beginDrift, type DriftPace } from "./drift.ts";
import type { ObjectRef } from "./kube_api.ts";
import { isDrifted, isOutdated, observeObject, readsWhole } from "./observe.ts";
import type { Works } from "./receive.ts";
import type { Sighting } from "./watch_stream.ts";
import type { Witness } from "./witness.ts";
import { objectKey, type Slot, type Work } from "./work.ts";

/** Who is told of what was seen. */
export interface SightTold {
  /** The status may have changed. */
  changed(uid: string): void;
  /** An object is not as it was left, or one that could not be applied has changed: a pass is due after this time. */
  drifted(uid: string, delayMs: number): void;
  /** The whole object is needed, since only its metadata was seen. */
  read(ref: ObjectRef): void;
}

export interface SightOptions {
  nowMs: () => number;
  jsonRawBytesMax: number;
  pace: DriftPace;
  witness: Pick<Witness, "drifted"> | undefined;
}

export interface Sight {
  /** Takes what a watch saw. */
  see(uid: string, ref: ObjectRef, sighting: Sighting): void;
  /** From now on sightings of a work wait: a pass over it is under way. */
  hold(uid: string): void;
  /** Takes what has waited. */
  release(uid: string): void;
}

/** An object of a deletion that is seen to go is not waited for longer; many that go together are one look. */
const GONE_DELAY_MS = 300;
/** An object that changes all the time brings its manifest another attempt this often. */
const RETRY_PAUSE_MS = 5_000;

/** True if the API server refused the manifest: because of a field of somebody else's, one that may not change, a webhook. */
function isRefused({ conditions }: Slot): boolean {
  return conditions.some(({ type, status, reason }) =>
    type === "Applied" && status === "False" && reason === "AppliedManifestFailed"
  );
}

function retryDelayMs(slot: Slot): number {
  const now = performance.now();
  const delayMs = Math.max(1, (slot.retriedAtMs ?? -Infinity) + RETRY_PAUSE_MS - now);
  slot.retriedAtMs = now + delayMs;
  return delayMs;
}

/** Creates the eyes of one agent. */
export function createSight(works: Works, told: SightTold, options: SightOptions): Sight {
  const { nowMs, jsonRawBytesMax, pace, witness } = options;
  const held = new Map<string, Map<string, { ref: ObjectRef; sighting: Sighting }>>();

  const seeSlot = (work: Work, slot: Slot, ref: ObjectRef, sighting: Sighting) => {
    const { object, resourceVersion, isPartial } = sighting;
    if (slot.options === undefined || isOutdated(slot, resourceVersion)) return;
    const isSame = object === undefined
      ? slot.isKnown && slot.uid === undefined
      : slot.isKnown && slot.resourceVersion === resourceVersion;
    if (isSame) return;
    const strategy = slot.options.updateStrategy.type || "Update";
    const reading = { options: slot.options, version: work.version, nowMs: nowMs() };
    // What its rules read is not there; it is told in a moment.
    if (isPartial && readsWhole(slot)) told.read(ref);
    else observeObject(slot, object, { ...reading, jsonRawBytesMax });
    // Asked afterwards: what a rule no longer finds complete is held to its manifest again.
    const isNews = !slot.isDrifted && isDrifted(slot, object, strategy);
    if (work.deletionTimestamp === undefined) {
      if (isNews) {
        told.drifted(work.uid, beginDrift(slot, object, { ...reading, pace }));
        witness?.drifted(slot);
      } else if (isRefused(slot)) told.drifted(work.uid, retryDelayMs(slot));
    }
    told.changed(work.uid);
  };

  const see: Sight["see"] = (uid, ref, sighting) => {
    const work = works.get(uid);
    if (work === undefined) return;
    const key = objectKey(ref);
    const waiting = held.get(uid);
    if (waiting !== undefined) {
      waiting.set(key, { ref, sighting });
      return;
    }
    if (sighting.object === undefined && work.deletionTimestamp !== undefined && !work.isGone) {
      told.drifted(uid, GONE_DELAY_MS);
    }
    for (const slot of work.slots) {
      // Most events are for one slot of many; comparing the name first is the cheap way to it.
      if (slot.ref?.name !== ref.name || objectKey(slot.ref) !== key) continue;
      seeSlot(work, slot, ref, sighting);
    }
  };

  return {
    see,
    hold(uid) {
      if (!held.has(uid)) held.set(uid, new Map());
    },
    release(uid) {
      const waiting = held.get(uid);
      held.delete(uid);
      for (const { ref, sighting } of waiting?.values() ?? []) see(uid, ref, sighting);
    },
  };
}
