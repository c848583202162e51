/** What condition rules find, row by row as the Go agent has it. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { ConditionRule } from "../../src/lib/wire/work_spec.ts";
import { evaluateRules, loadRules } from "../../src/lib/work/condition_rules.ts";

const job = (type: string): JsonObject => ({
  apiVersion: "batch/v1",
  kind: "Job",
  status: { active: 2, conditions: [{ type, status: "True" }] },
});
const pod = (phase: string): JsonObject => ({ apiVersion: "v1", kind: "Pod", status: { phase } });
const cel = (...celExpressions: string[]): ConditionRule => ({
  condition: "Good",
  type: "CEL",
  celExpressions,
});
const known: ConditionRule = { condition: "Complete", type: "WellKnownConditions" };
const yes = "object.status.active == 2";

async function found(rule: ConditionRule, object: JsonObject): Promise<string> {
  await loadRules([rule]);
  const [condition] = evaluateRules([rule], object, 3);
  if (condition === undefined) return "nothing";
  const { type, status, reason, message, observedGeneration } = condition;
  expect([type, observedGeneration]).toEqual([rule.condition, 3]);
  return `${status} ${reason} ${message}`;
}

const EVALUATED = "ConditionRuleEvaluated";
const FAILED = "ConditionRuleExpressionError";

test.each([
  [known, job("Complete"), `True ${EVALUATED} Job is finished`],
  [known, job("Failed"), `True ${EVALUATED} Job is finished`],
  [known, job("Suspended"), `False ${EVALUATED} Job is not finished`],
  [known, pod("Succeeded"), `True ${EVALUATED} Pod is in phase Succeeded`],
  [known, pod("Running"), `False ${EVALUATED} Pod is in phase Running`],
  [{ ...known, message: "Own" }, pod("Running"), `False ${EVALUATED} Own`],
  [{ ...known, condition: "Other" }, job("x"), "nothing"],
  [{ ...known, condition: "" }, job("x"), "nothing"],
  [known, { apiVersion: "v1", kind: "ConfigMap" }, "nothing"],
  [cel(yes), job("x"), `True ${EVALUATED} Manifest is Good`],
  [
    cel(yes, "object.status.active > 2", "1 / 0 == 1"),
    job("x"),
    `False ${EVALUATED} Manifest is not Good`,
  ],
  [{ ...cel(yes), message: "Own" }, job("x"), `True ${EVALUATED} Own`],
  [cel("object.status.x == 1"), job("x"), `False ${FAILED} no such key: x`],
  [cel("object.kind"), job("x"), `False ${FAILED} expected bool result, got string`],
  [cel("object.status.active"), job("x"), `False ${FAILED} expected bool result, got int64`],
  [
    cel("1 +"),
    job("x"),
    `False ${FAILED} ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'\n | 1 +\n | ...^`,
  ],
  [
    { condition: "Odd", type: "Odd" },
    job("x"),
    "Unknown ConditionRuleInvalid unrecognized condition rule type Odd",
  ],
] as [ConditionRule, JsonObject, string][])(
  "what a condition rule finds (%#)",
  async (rule, object, expected) => {
    expect(await found(rule, object)).toBe(expected);
  },
);

test.each([
  ["'active: ' + string(object.status.active)", "active: 2"],
  ["result ? 'yes' : 'no'", "yes"],
  ["''", "Manifest is Good"],
  ["object.status.x", "no such key: x"],
  ["1 +", "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'"],
  ["1", "expected message expression to have a string result, got int64"],
])(
  "the message expression %s makes the message %s, and the status stays",
  async (messageExpression, message) => {
    expect(await found({ ...cel(yes), messageExpression }, job("x"))).toBe(
      `True ${EVALUATED} ${message}`,
    );
  },
);

test("a message expression also makes the message of a well-known condition", async () => {
  const rule = { ...known, messageExpression: "result ? 'over' : 'on'" };
  expect(await found(rule, job("Complete"))).toBe(`True ${EVALUATED} over`);
});

test("an expression without budget says that it is exceeded, and so does all that follows", async () => {
  await loadRules([cel(yes)]);
  const one = evaluateRules([cel(yes)], job("x"), 1, { expressionCostMax: 1 });
  const all = evaluateRules([cel(yes), { ...cel(yes), condition: "Next" }], job("x"), 1, {
    objectCostMax: 8,
  });

  expect(one[0]).toMatchObject({
    status: "False",
    reason: FAILED,
    message: "operation cancelled: actual cost limit exceeded",
  });
  expect(all.map(({ reason }) => reason)).toEqual([EVALUATED, FAILED]);
  expect(all[1]?.message).toBe("CEL evaluation budget exceeded");
});

test("without a rule that needs CEL nothing of it is loaded", async () => {
  const source = `
    import { evaluateRules, loadRules } from "./src/lib/work/condition_rules.ts";
    const rule = { condition: "Complete", type: "WellKnownConditions" };
    const cel = { condition: "Good", type: "CEL", celExpressions: ["true"] };
    await loadRules([rule]);
    const [before] = evaluateRules([cel], {}, 1);
    await loadRules([rule, cel]);
    const [after] = evaluateRules([cel], {}, 1);
    console.log(before.reason, after.reason);
  `;
  const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe" });

  expect((await new Response(child.stdout).text()).trim())
    .toBe("ConditionRuleInternalError ConditionRuleEvaluated");
});
