/** The conditions of works and manifests: how they change, and how a work sums up its manifests. */

import type { Condition, FeedbackValue, ResourceMeta } from "../wire/work_status.ts";

/** A condition without its time, which follows from the change. */
export type NewCondition = Omit<Condition, "lastTransitionTime">;

/** Kubernetes' time of conditions: whole seconds, UTC. */
export function conditionTime(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
}

/** Sets one condition in place; its transition time moves only when its status does. */
export function setCondition(list: Condition[], wanted: NewCondition, nowMs: number): void {
  const index = list.findIndex(({ type }) => type === wanted.type);
  const found = list[index];
  const lastTransitionTime = found?.status === wanted.status && found.lastTransitionTime !== null
    ? found.lastTransitionTime
    : conditionTime(nowMs);
  const { type, status, observedGeneration, reason, message } = wanted;
  const condition: Condition = {
    type,
    status,
    ...(observedGeneration ? { observedGeneration } : {}),
    lastTransitionTime,
    reason,
    message,
  };
  if (found === undefined) list.push(condition);
  else list[index] = condition;
}

/** Sets a condition that belongs to one version: a new version is a transition, and moves to the end. */
export function setVersionedCondition(
  list: Condition[],
  wanted: NewCondition,
  nowMs: number,
): void {
  const index = list.findIndex(({ type }) => type === wanted.type);
  if (index >= 0 && list[index]?.observedGeneration !== wanted.observedGeneration) {
    list.splice(index, 1);
  }
  setCondition(list, wanted, nowMs);
}

/** Removes a condition, so that setting it again is a transition. */
export function dropCondition(list: Condition[], type: string): void {
  const index = list.findIndex((condition) => condition.type === type);
  if (index >= 0) list.splice(index, 1);
}

/** True for the reason of a condition that a rule of the work set. */
export function isOfRule(reason: string): boolean {
  return reason.startsWith("ConditionRule");
}

/** Removes conditions of rules that are no longer in the spec: those of an older version. */
export function dropOldRules(list: Condition[], version: number): void {
  for (let index = list.length - 1; index >= 0; index--) {
    const condition = list[index];
    if (condition === undefined || !isOfRule(condition.reason)) continue;
    if ((condition.observedGeneration ?? 0) !== version) list.splice(index, 1);
  }
}

/** Carries over to a version what these rules found before, of objects that could not be read for it. */
export function carryRules(
  list: Condition[],
  rules: readonly { condition: string }[],
  version: number,
): void {
  for (const condition of list) {
    const isStill = rules.some((rule) => rule.condition === condition.type);
    if (isStill && isOfRule(condition.reason)) condition.observedGeneration = version;
  }
}

/** What is summed up although no rule asked for it. */
const SUMMED = new Set(["Available", "Ready"]);

/** Sums up the conditions of the manifests in those of the work. */
export function aggregate(
  work: Condition[],
  manifests: readonly { meta?: ResourceMeta; conditions: Condition[] }[],
  version: number,
  nowMs: number,
): void {
  const types = new Map<string, Found[]>();
  for (const { meta, conditions } of manifests) {
    for (const condition of conditions) {
      if (!SUMMED.has(condition.type) && !isOfRule(condition.reason)) continue;
      types.set(condition.type, [...(types.get(condition.type) ?? []), { meta, condition }]);
    }
  }
  for (const type of [...types.keys()].sort()) {
    const found = types.get(type) ?? [];
    const summed = type === "Available"
      ? sumAvailable(found, manifests.length)
      : type === "Ready" && !found.every(({ condition }) => isOfRule(condition.reason))
      ? sumReady(found)
      : sumRule(type, found);
    setCondition(work, { ...summed, type, observedGeneration: version }, nowMs);
  }
  if (!types.has("Ready")) dropCondition(work, "Ready");
  dropOldRules(work, version);
}

/** A condition, and what its manifest is. */
interface Found {
  meta: ResourceMeta | undefined;
  condition: Condition;
}

type Sum = Pick<Condition, "status" | "reason" | "message">;

function sumAvailable(found: Found[], total: number): Sum {
  const count = (status: string) =>
    found.filter(({ condition }) => condition.status === status).length;
  const [no, unknown] = [count("False"), count("Unknown")];
  if (no > 0) {
    return {
      status: "False",
      reason: "ResourcesNotAvailable",
      message: `${no} of ${total} resources are not available`,
    };
  }
  if (unknown > 0) {
    return {
      status: "Unknown",
      reason: "ResourcesStatusUnknown",
      message: `${unknown} of ${total} resources have unknown status`,
    };
  }
  return {
    status: "True",
    reason: "ResourcesAvailable",
    message: "All resources are available",
  };
}

/** Names the first object that is not ready, so that one look is often enough. */
function sumReady(found: Found[]): Sum {
  for (const status of ["False", "Unknown"] as const) {
    const some = found.filter(({ condition }) => condition.status === status);
    const [first] = some;
    if (first === undefined) continue;
    const { meta, condition } = first;
    const isNot = status === "False" ? "are not ready" : "have unknown readiness";
    return {
      status,
      reason: status === "False" ? "ResourcesNotReady" : "ResourcesReadinessUnknown",
      message: `${some.length} of ${found.length} resources ${isNot}: ` +
        `${meta === undefined ? "" : `${meta.kind} ${meta.name}: `}${condition.message}`,
    };
  }
  return { status: "True", reason: "ResourcesReady", message: "All resources are ready" };
}

function sumRule(type: string, found: Found[]): Sum {
  const has = (status: string) => found.some(({ condition }) => condition.status === status);
  // Progress anywhere is progress; every other promise needs all of them.
  const [decisive, other] = type === "Progressing" ? ["True", "False"] : ["False", "True"];
  const status = has(decisive as string)
    ? decisive
    : has("Unknown") || !has(other as string)
    ? "Unknown"
    : other;
  const [only] = found;
  return {
    status: status as Condition["status"],
    reason: "ConditionRulesAggregated",
    message: found.length === 1 && only !== undefined
      ? only.condition.message
      : `Aggregated from ${found.length} manifest conditions`,
  };
}

/** A manifest's conditions after its object was read; `undefined` means that it is not there. */
export function setAvailable(list: Condition[], isThere: boolean, nowMs: number): void {
  setCondition(
    list,
    isThere
      ? {
        type: "Available",
        status: "True",
        reason: "ResourceAvailable",
        message: "Resource is available",
      }
      : {
        type: "Available",
        status: "False",
        reason: "ResourceNotAvailable",
        message: "Resource is not available",
      },
    nowMs,
  );
}

/** The condition that says whether feedback could be read. */
export function feedbackCondition(
  hasRules: boolean,
  values: FeedbackValue[],
  errors: string[],
): NewCondition {
  const type = "StatusFeedbackSynced";
  if (errors.length > 0) {
    return {
      type,
      status: "False",
      reason: "StatusFeedbackSyncFailed",
      message: `Sync status feedback failed with error ${joinErrors(errors)}`,
    };
  }
  const reason = hasRules || values.length > 0 ? "StatusFeedbackSynced" : "NoStatusFeedbackSynced";
  return { type, status: "True", reason, message: "" };
}

// As Kubernetes prints a list of errors.
function joinErrors(errors: string[]): string {
  return errors.length === 1 ? errors[0] ?? "" : `[${errors.join(", ")}]`;
}
