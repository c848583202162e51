/** Turns what is seen of an object into the conditions and feedback of its manifest. */

import type { JsonObject } from "../json.ts";
import { evaluateRules } from "./condition_rules.ts";
import {
  dropCondition,
  dropOldRules,
  feedbackCondition,
  isOfRule,
  setAvailable,
  setCondition,
} from "./conditions.ts";
import { readFeedback } from "./feedback.ts";
import { markOf } from "./metadata.ts";
import { mayBeReady, readinessOf } from "./readiness.ts";
import type { ManifestOptions } from "./options.ts";
import { valuesHash } from "./record.ts";
import { metadataOf, type Slot, textOf } from "./work.ts";

/** What the reading of an object depends on. */
export interface Reading {
  options: ManifestOptions;
  version: number;
  nowMs: number;
  jsonRawBytesMax: number;
}

/** The agent's own words, which no rule may put in its mouth. */
const RESERVED = new Set(["Applied", "StatusFeedbackSynced", "Deleting", "Deleted"]);

/**
 * Updates a slot from its object; undefined means that the object is not there.
 *
 * A missing object keeps its last feedback, as with peers: its Available condition says how old that is.
 */
export function observeObject(slot: Slot, object: JsonObject | undefined, reading: Reading): void {
  const { options, version, nowMs, jsonRawBytesMax } = reading;
  slot.isKnown = true;
  const isThere = object !== undefined;
  if (!isThere) {
    setAvailable(slot.conditions, isThere, nowMs);
    setReady(slot, undefined, nowMs);
    delete slot.uid;
    delete slot.resourceVersion;
    return;
  }
  const metadata = metadataOf(object);
  slot.uid = textOf(metadata, "uid");
  slot.resourceVersion = textOf(metadata, "resourceVersion");
  const found = evaluateRules(options.conditionRules, object, version)
    .filter(({ type }) => !RESERVED.has(type));
  const isRuled = (type: string) => found.some((condition) => condition.type === type);
  // Each condition is set once: one that went to and fro would be news for ever.
  if (!isRuled("Available")) setAvailable(slot.conditions, isThere, nowMs);
  const { values, errors } = readFeedback(options.feedbackRules, object, jsonRawBytesMax);
  const hash = valuesHash(values);
  // New values are a transition, so that watchers see when they came.
  if (slot.valuesHash !== undefined && slot.valuesHash !== hash) {
    dropCondition(slot.conditions, "StatusFeedbackSynced");
  }
  slot.values = values;
  slot.valuesHash = hash;
  const hasRules = options.feedbackRules.length > 0;
  setCondition(slot.conditions, feedbackCondition(hasRules, values, errors), nowMs);
  for (const condition of found) setCondition(slot.conditions, condition, nowMs);
  dropOldRules(slot.conditions, version);
  if (!isRuled("Ready")) setReady(slot, object, nowMs);
}

/** Kinds that have no readiness, and objects that say nothing of it, get no condition. */
function setReady(slot: Slot, object: JsonObject | undefined, nowMs: number): void {
  const { meta, conditions } = slot;
  if (object === undefined) {
    const isRuled = conditions.some(({ type, reason }) => type === "Ready" && isOfRule(reason));
    if (isRuled || !mayBeReady(meta)) return;
    const message = "The object is not there";
    setCondition(
      conditions,
      { type: "Ready", status: "False", reason: "NotFound", message },
      nowMs,
    );
    return;
  }
  const readiness = readinessOf(meta, object);
  if (readiness === undefined) dropCondition(conditions, "Ready");
  else setCondition(conditions, { type: "Ready", ...readiness }, nowMs);
}

/** True if the metadata of a slot's object is not all that is read of it. */
export function readsWhole({ options, meta }: Pick<Slot, "options" | "meta">): boolean {
  const rules = (options?.feedbackRules.length ?? 0) + (options?.conditionRules.length ?? 0);
  return rules > 0 || mayBeReady(meta);
}

/** True if a sighting at this version is older than what the slot has. */
export function isOutdated(slot: Slot, seen: string): boolean {
  const held = slot.resourceVersion;
  if (held === undefined) return false;
  // Kubernetes promises since 1.35 that versions of one type compare as numbers; they always did.
  if (!/^\d+$/.test(seen) || !/^\d+$/.test(held)) return false;
  return BigInt(seen) < BigInt(held);
}

/** True if somebody changed or removed what the agent had left there. */
export function isDrifted(slot: Slot, object: JsonObject | undefined, type: string): boolean {
  if (type === "ReadOnly" || slot.appliedHash === undefined) return false;
  if (isComplete(slot)) return false;
  if (object === undefined) return true;
  return slot.mark !== undefined && slot.mark !== markOf(object, type);
}

/** True if a rule found the manifest's job to be done; it is then not applied again. */
export function isComplete(slot: Slot): boolean {
  return slot.conditions.some(({ type, status }) => type === "Complete" && status === "True");
}
