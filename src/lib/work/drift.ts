/**
 * What becomes of an object that others changed or deleted: it is set right, or the difference is reported.
 *
 * Whoever changes it again each time is answered more and more slowly, and named in a condition, which goes away when
 * the object has been left alone for a while.
 */

import { backoffMs } from "../backoff.ts";
import { isObject, type JsonObject } from "../json.ts";
import { blame } from "./blame.ts";
import { dropCondition, setCondition } from "./conditions.ts";
import type { Kube, WriteOptions } from "./kube_api.ts";
import { FIELD_OWNER, metadataOf, type Slot } from "./work.ts";

/** On a work, or on one manifest, where it counts more. */
export const DRIFT_POLICY_ANNOTATION = "maestro.open-cluster-management.io/drift-policy";

const POLICIES = ["heal", "report"] as const;
type Policy = typeof POLICIES[number];

const CONDITION = "Drifted";
const REPORTED = "DriftReported";

/** How fast objects are set right. */
export interface DriftPace {
  /** An object that is left alone for so long is at peace. */
  calmMs: number;
  /** Pauses before an object is set right that was changed again. */
  backoff: { firstMs: number; factor: number; ceilingMs: number };
}

export const DRIFT_PACE: DriftPace = {
  calmMs: 120_000,
  backoff: { firstMs: 50, factor: 3, ceilingMs: 300_000 },
};

/** Set right so many times and changed again: more than by somebody who tries something out. */
const TOLD_HEALS = 4;
/** The longest pause before an object is looked at that others change without need for a correction. */
const LOOK_MS_MAX = 4_000;

/** What a slot remembers of changes by others; its times are of a clock that never steps back. */
export interface Contest {
  /** How often it was changed again soon after the last look. */
  rounds: number;
  /** How often it was set right. */
  heals: number;
  lookedAtMs: number;
  /** When it may be set right next. */
  dueAtMs: number;
}

/** What to do about drift, and the value that nobody knows. */
export interface DriftPolicy {
  policy: Policy;
  unknown?: string;
}

/** Gives a slot the policy of its manifest, or else of its work. */
export function placePolicy(slot: Slot, work: JsonObject, manifest: JsonObject): void {
  slot.driftPolicy = policyOf(work, manifest);
  // What was only told so far is now to be set right.
  if (isReported(slot) && slot.driftPolicy.policy === "heal") slot.isDrifted = true;
}

function isReported({ conditions }: Slot): boolean {
  return conditions.some(({ type, reason }) => type === CONDITION && reason === REPORTED);
}

function policyOf(work: JsonObject, manifest: JsonObject): DriftPolicy {
  const value = annotationOf(metadataOf(manifest)) ?? annotationOf(work) ?? "heal";
  const policy = POLICIES.find((each) => each === value);
  return policy === undefined ? { policy: "heal", unknown: value } : { policy };
}

function annotationOf({ annotations }: JsonObject): string | undefined {
  const value = isObject(annotations) ? annotations[DRIFT_POLICY_ANNOTATION] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** Notes that an object is not as it was left. Returns when it is to be looked after, in milliseconds from now. */
export function beginDrift(
  slot: Slot,
  object: JsonObject | undefined,
  { version, nowMs, pace }: { version: number; nowMs: number; pace: DriftPace },
): number {
  slot.isDrifted = true;
  const { contest } = slot;
  const elapsedMs = performance.now();
  const isAgain = contest !== undefined && elapsedMs - contest.lookedAtMs < pace.calmMs;
  const { rounds, heals } = isAgain
    ? { rounds: contest.rounds + 1, heals: contest.heals }
    : { rounds: 0, heals: 0 };
  const { ceilingMs } = pace.backoff;
  const delayMs = backoffMs(rounds, {
    ...pace.backoff,
    ceilingMs: heals > 0 ? ceilingMs : Math.min(ceilingMs, LOOK_MS_MAX),
  }, Math.random());
  const lookedAtMs = contest?.lookedAtMs ?? -Infinity;
  slot.contest = { rounds, heals, lookedAtMs, dueAtMs: elapsedMs + delayMs };
  if (heals >= TOLD_HEALS && slot.driftPolicy?.policy !== "report") {
    const what = object === undefined ? "deleted" : "changed";
    setDrifted(slot, {
      status: "True",
      reason: "Contested",
      message: `The object is ${what} again each time it was set right, ${byWhom(slot, object)}; ` +
        "it is set right less and less often",
    }, { version, nowMs });
  }
  return Math.max(1, delayMs);
}

/** True if an object is left a little longer as others made it. */
export function isHeldBack({ isDrifted, contest }: Slot): boolean {
  return isDrifted && contest !== undefined && contest.dueAtMs > performance.now();
}

/** Notes that an object is as its manifest says, or as its policy leaves it. */
export function endDrift(
  slot: Slot,
  { isNew, hasWritten, version, nowMs }: {
    isNew: boolean;
    hasWritten: boolean;
    version: number;
    nowMs: number;
  },
): void {
  if (slot.isDrifted && slot.contest !== undefined) {
    slot.contest.lookedAtMs = performance.now();
    if (hasWritten) slot.contest.heals++;
  }
  slot.isDrifted = false;
  if (isNew) delete slot.contest;
  if (isNew || (isReported(slot) && slot.driftPolicy?.policy === "heal")) dropDrifted(slot);
  const unknown = slot.driftPolicy?.unknown;
  if (unknown !== undefined && slot.contest === undefined) {
    setDrifted(slot, {
      status: "False",
      reason: "UnknownDriftPolicy",
      message: `The drift policy "${unknown}" is neither "heal" nor "report"; the object is healed`,
    }, { version, nowMs });
  }
}

/** Forgets what is long past. Returns when the slot needs another turn, in milliseconds; undefined for never. */
export function calmDown(slot: Slot, pace: DriftPace): number | undefined {
  const { contest, isDrifted, driftPolicy } = slot;
  const elapsedMs = performance.now();
  if (contest !== undefined && isDrifted) return Math.max(1, contest.dueAtMs - elapsedMs);
  if (contest !== undefined && elapsedMs - contest.lookedAtMs >= pace.calmMs) {
    delete slot.contest;
  }
  if (slot.contest !== undefined) return pace.calmMs;
  if (driftPolicy?.policy !== "report" && driftPolicy?.unknown === undefined) dropDrifted(slot);
  return undefined;
}

/** The same API; `written` is told of each write that is meant. */
export function notingWrites(kube: Kube, written: () => void): Kube {
  const note = ({ isDryRun }: WriteOptions) => {
    if (!isDryRun) written();
  };
  return {
    ...kube,
    create(ref, object, options) {
      note(options);
      return kube.create(ref, object, options);
    },
    replace(ref, object, options) {
      note(options);
      return kube.replace(ref, object, options);
    },
    patch(ref, patch, options) {
      note(options);
      return kube.patch(ref, patch, options);
    },
  };
}

/** Thrown in the place of a write. */
class WouldWrite extends Error {}

/** The same API, but it only tells whether somebody would write. */
function readOnly(kube: Kube): Kube {
  const refuse = () => Promise.reject(new WouldWrite());
  return { ...kube, create: refuse, replace: refuse, patch: refuse, delete: refuse };
}

/** Sets or drops the condition of a slot whose drift is only reported; `apply` would set its object right. */
export async function reportDrift(
  kube: Kube,
  slot: Slot,
  read: () => Promise<JsonObject | undefined>,
  apply: (kube: Kube) => Promise<unknown>,
  { version, nowMs }: { version: number; nowMs: number },
): Promise<JsonObject | undefined> {
  const live = await read();
  try {
    await apply(readOnly(kube));
    dropDrifted(slot);
  } catch (error) {
    if (!(error instanceof WouldWrite)) throw error;
    const what = live === undefined
      ? "The object was deleted"
      : `The object was changed, ${byWhom(slot, live)}`;
    setDrifted(slot, {
      status: "True",
      reason: REPORTED,
      message: `${what}; its drift policy is "report", so it stays until its manifest changes`,
    }, { version, nowMs });
  }
  return live;
}

function byWhom({ options }: Slot, object: JsonObject | undefined): string {
  const own = options?.updateStrategy.serverSideApply?.fieldManager || FIELD_OWNER;
  const found = object === undefined ? undefined : blame(object, own);
  return found === undefined ? "nobody knows by whom" : `by ${found}`;
}

function setDrifted(
  slot: Slot,
  { status, reason, message }: { status: "True" | "False"; reason: string; message: string },
  { version, nowMs }: { version: number; nowMs: number },
): void {
  if (isRule(slot)) return;
  const condition = { type: CONDITION, status, reason, message, observedGeneration: version };
  setCondition(slot.conditions, condition, nowMs);
}

function dropDrifted(slot: Slot): void {
  if (!isRule(slot)) dropCondition(slot.conditions, CONDITION);
}

/** True if the work has a rule of its own for a condition of this name. */
function isRule({ conditions }: Slot): boolean {
  return conditions.some(({ type, reason }) =>
    type === CONDITION && reason.startsWith("ConditionRule")
  );
}
