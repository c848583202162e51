/** How conditions change, and how a work sums up those of its manifests. */

import { expect, test } from "bun:test";
import type { Condition } from "../../src/lib/wire/work_status.ts";
import { aggregate, setCondition, setVersionedCondition } from "../../src/lib/work/conditions.ts";

const T1 = Date.parse("2026-01-02T03:04:05.678Z");
const T2 = T1 + 60_000;

test("a transition time moves only when the status does", () => {
  const list: Condition[] = [];
  const base = { type: "Available", reason: "R", message: "" };
  setCondition(list, { ...base, status: "True" }, T1);

  setCondition(list, { ...base, status: "True", message: "new" }, T2);
  const kept = list[0]?.lastTransitionTime;
  setCondition(list, { ...base, status: "False" }, T2);

  expect(kept).toBe("2026-01-02T03:04:05Z");
  expect(list[0]).toMatchObject({ lastTransitionTime: "2026-01-02T03:05:05Z", message: "" });
});

test("a new version is a transition, and its condition moves to the end", () => {
  const list: Condition[] = [];
  const applied = { type: "Applied", status: "True", reason: "R", message: "" } as const;
  setVersionedCondition(list, { ...applied, observedGeneration: 1 }, T1);
  setCondition(list, { type: "Available", status: "True", reason: "R", message: "" }, T1);

  setVersionedCondition(list, { ...applied, observedGeneration: 2 }, T2);

  expect(list.map(({ type }) => type)).toEqual(["Available", "Applied"]);
  expect(list[1]?.lastTransitionTime).toBe("2026-01-02T03:05:05Z");
});

function sum(...manifests: Record<string, "True" | "False" | "Unknown">[]): Condition[] {
  const work: Condition[] = [];
  const conditions = manifests.map((manifest) => ({
    conditions: Object.entries(manifest).map(([type, status]) => ({
      type,
      status,
      observedGeneration: 1,
      lastTransitionTime: null,
      reason: type === "Available" ? "R" : "ConditionRuleEvaluated",
      message: `${type} is ${status}`,
    })),
  }));
  aggregate(work, conditions, 1, T1);
  return work;
}

test.each(
  [
    [["True", "True"], "True", "All resources are available"],
    [["True", "False"], "False", "1 of 2 resources are not available"],
    [["Unknown", "True"], "Unknown", "1 of 2 resources have unknown status"],
    [["Unknown", "False"], "False", "1 of 2 resources are not available"],
  ] as const,
)("availability of %p is %s: %s", (statuses, status, message) => {
  const [condition] = sum(...statuses.map((Available) => ({ Available })));

  expect(condition).toMatchObject({ type: "Available", status, message, observedGeneration: 1 });
});

test("a rule is true for a work if it is true everywhere, progress if it is true anywhere", () => {
  const work = sum({ Complete: "True", Progressing: "False" }, {
    Complete: "False",
    Progressing: "True",
  });

  expect(work.map(({ type, status, message }) => [type, status, message])).toEqual([
    ["Complete", "False", "Aggregated from 2 manifest conditions"],
    ["Progressing", "True", "Aggregated from 2 manifest conditions"],
  ]);
  expect(sum({ Complete: "True" }, {})[0]?.message).toBe("Complete is True");
});
