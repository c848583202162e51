/** Conditions that a work defines for its manifests: "this Job is finished". */

import { isObject, type JsonObject } from "../json.ts";
import type { ConditionRule } from "../wire/work_spec.ts";
import type { NewCondition } from "./conditions.ts";

type WellKnown = (object: JsonObject) => { isTrue: boolean; message: string };

const WELL_KNOWN: Record<string, WellKnown> = {
  "batch/v1 Job Complete": (job) => {
    const isFinished = conditionsOf(job).some(({ type, status }) =>
      (type === "Complete" || type === "Failed") && status === "True"
    );
    return { isTrue: isFinished, message: isFinished ? "Job is finished" : "Job is not finished" };
  },
  "v1 Pod Complete": (pod) => {
    const { status } = pod;
    const phase = isObject(status) ? String(status["phase"] ?? "") : "";
    return {
      isTrue: phase === "Succeeded" || phase === "Failed",
      message: `Pod is in phase ${phase}`,
    };
  },
};

/** Evaluates the rules of one manifest on its object. A rule without a result gives no condition. */
export function evaluateRules(
  rules: readonly ConditionRule[],
  object: JsonObject,
  version: number,
): NewCondition[] {
  return rules.flatMap((rule) => {
    if (!rule.condition) return [];
    const found = evaluate(rule, object);
    if (found === undefined) return [];
    return [{ type: rule.condition, observedGeneration: version, ...found }];
  });
}

type Evaluated = Pick<NewCondition, "status" | "reason" | "message">;

function evaluate(rule: ConditionRule, object: JsonObject): Evaluated | undefined {
  if (rule.type === "WellKnownConditions") {
    const known = WELL_KNOWN[`${object["apiVersion"]} ${object["kind"]} ${rule.condition}`];
    if (known === undefined) return undefined;
    const { isTrue, message } = known(object);
    return {
      status: isTrue ? "True" : "False",
      reason: "ConditionRuleEvaluated",
      message: rule.message || message,
    };
  }
  if (rule.type === "CEL") {
    return {
      status: "Unknown",
      reason: "ConditionRuleInternalError",
      message: "CEL expressions are not supported by this agent",
    };
  }
  return {
    status: "Unknown",
    reason: "ConditionRuleInvalid",
    message: `unrecognized condition rule type ${rule.type}`,
  };
}

function conditionsOf(object: JsonObject): JsonObject[] {
  const { status } = object;
  const list = isObject(status) ? status["conditions"] : undefined;
  return Array.isArray(list) ? list.filter(isObject) : [];
}
