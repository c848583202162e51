/** What a condition says of a refusal beyond the words of the API server. */

import { expect, test } from "bun:test";
import { explainError } from "../../src/lib/work/explain.ts";
import { KubeError } from "../../src/lib/work/kube_api.ts";

const invalid = (message: string, field: string) =>
  new KubeError(422, "Invalid", "no", {
    causes: [{ reason: "FieldValueInvalid", message, field }],
  });

for (
  const [field, message] of [
    ["spec.selector", "Invalid value: {}: field is immutable"],
    ["spec.clusterIPs[0]", 'Invalid value: ["10.0.0.1"]: may not change once set'],
    ["spec", "Forbidden: pod updates may not change fields other than `spec.tolerations`"],
    [
      "spec",
      "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
    ],
    ["spec", "Forbidden: spec is immutable after creation except resources.requests"],
    ["roleRef", "Invalid value: {}: cannot change roleRef"],
  ] as const
) {
  test(`of ${field}, "${message}" is told that it cannot be changed`, () => {
    expect(explainError(invalid(message, field))).toBe(
      `no (${field} cannot be changed: put back the old value, or delete the object, which is ` +
        "then made anew)",
    );
  });
}

test("what is wrong by itself gets no advice, nor what is no refusal", () => {
  expect(explainError(invalid("Invalid value: -1: must be greater than 0", "spec.replicas")))
    .toBe("no");
  expect(explainError(new Error("no"))).toBe("no");
});

test("of many conflicts ten are named and the others counted", () => {
  const causes = Array.from({ length: 12 }, (_, n) => ({
    reason: "FieldManagerConflict",
    message: 'conflict with "other" using v1',
    field: `.data.k${n}`,
  }));

  const text = explainError(new KubeError(409, "Conflict", "Apply failed", { causes }));

  expect(text).toStartWith('Apply failed (.data.k0 is set by "other", .data.k1 is set by "other"');
  expect(text).toContain(" and 2 more; leave it out of the manifest");
  expect(text).not.toContain(".data.k10");
});
