/** Conditions that a work defines for its manifests: "this Job is finished". */

import { describeError } from "../errors.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { ConditionRule } from "../wire/work_spec.ts";
import type { MeterOptions } from "./cel/meter.ts";
import type { CelReader } from "./cel_rules.ts";
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

/** Code, not state: what evaluates CEL, once a work has asked for it. */
let cel: typeof import("./cel_rules.ts") | undefined;
let loadError: string | undefined;

/** Loads what these rules need. An agent whose works have no CEL never pays for it. */
export async function loadRules(rules: readonly ConditionRule[]): Promise<void> {
  if (cel !== undefined) return;
  if (!rules.some(({ type, messageExpression }) => type === "CEL" || messageExpression)) return;
  try {
    cel = await import("./cel_rules.ts");
  } catch (error) {
    loadError = describeError(error);
  }
}

/** Evaluates the rules of one manifest on its object. A rule without a result gives no condition. */
export function evaluateRules(
  rules: readonly ConditionRule[],
  object: JsonObject,
  version: number,
  limits: MeterOptions = {},
): NewCondition[] {
  let opened: CelReader | undefined;
  const reader = () => opened ??= cel?.readWithCel(object, limits);
  return rules.flatMap((rule) => {
    if (!rule.condition) return [];
    const found = evaluate(rule, object, reader);
    if (found === undefined) return [];
    return [{ type: rule.condition, observedGeneration: version, ...found }];
  });
}

type Evaluated = Pick<NewCondition, "status" | "reason" | "message">;
type Reader = () => CelReader | undefined;

function evaluate(rule: ConditionRule, object: JsonObject, reader: Reader): Evaluated | undefined {
  if (rule.type === "WellKnownConditions") {
    const known = WELL_KNOWN[`${object["apiVersion"]} ${object["kind"]} ${rule.condition}`];
    if (known === undefined) return undefined;
    const { isTrue, message } = known(object);
    return evaluated(rule, isTrue, message, reader);
  }
  if (rule.type === "CEL") return evaluateCel(rule, reader);
  return {
    status: "Unknown",
    reason: "ConditionRuleInvalid",
    message: `unrecognized condition rule type ${rule.type}`,
  };
}

function evaluateCel(rule: ConditionRule, reader: Reader): Evaluated {
  const verdict = reader()?.areTrue(rule.celExpressions ?? []);
  if (verdict === undefined) {
    return {
      status: "Unknown",
      reason: "ConditionRuleInternalError",
      message: loadError ?? "CEL is not loaded",
    };
  }
  if ("error" in verdict) {
    return { status: "False", reason: "ConditionRuleExpressionError", message: verdict.error };
  }
  const { isTrue } = verdict;
  const message = `Manifest is ${isTrue ? "" : "not "}${rule.condition}`;
  return evaluated(rule, isTrue, message, reader);
}

function evaluated(
  { message, messageExpression }: ConditionRule,
  isTrue: boolean,
  otherwise: string,
  reader: Reader,
): Evaluated {
  const made = messageExpression ? reader()?.message(messageExpression, isTrue) : undefined;
  return {
    status: isTrue ? "True" : "False",
    reason: "ConditionRuleEvaluated",
    message: made || message || otherwise,
  };
}

function conditionsOf(object: JsonObject): JsonObject[] {
  const { status } = object;
  const list = isObject(status) ? status["conditions"] : undefined;
  return Array.isArray(list) ? list.filter(isObject) : [];
}
