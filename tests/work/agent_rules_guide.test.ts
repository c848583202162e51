/** What docs/agent-rules.md shows is so. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import type { JsonObject } from "../../src/lib/json.ts";
import type { IgnoreField } from "../../src/lib/wire/work_spec.ts";
import { readWithCel } from "../../src/lib/work/cel_rules.ts";
import { evaluateRules, loadRules } from "../../src/lib/work/condition_rules.ts";
import { readFeedback } from "../../src/lib/work/feedback.ts";
import { openRemover } from "../../src/lib/work/ignore_fields.ts";
import { readinessOf } from "../../src/lib/work/readiness.ts";

const guide = await Bun.file(join(import.meta.dir, "../../docs/agent-rules.md")).text();

/** The blocks of the page by what stands behind their fences. */
const blocks = new Map(
  [...guide.matchAll(/^```(.+)\n([\s\S]*?)^```/gm)].map(([, name = "", text = ""]) => [name, text]),
);

function json<T>(name: string): T {
  return JSON.parse(blocks.get(name) ?? "") as T;
}

const object = json<JsonObject>("json");

test("the guide's feedback is read as it shows", () => {
  const { feedbackRules } = json<{ feedbackRules: Parameters<typeof readFeedback>[0] }>(
    "json feedback",
  );
  const { values, errors } = readFeedback(feedbackRules, object, 1024);

  expect(values).toEqual(json("json values"));
  expect(errors).toEqual([]);
});

test("the guide's conditions are found as it shows", async () => {
  const { conditionRules } = json<{ conditionRules: Parameters<typeof loadRules>[0] }>(
    "json conditions",
  );
  await loadRules(conditionRules);

  const found = evaluateRules(conditionRules, object, 1);

  expect(found.map(({ type, status, reason, message }) => [type, status, reason, message]))
    .toEqual(json("json found"));
});

test.each((blocks.get("cel") ?? "").trim().split("\n"))(
  "the guide says that it is true: %s",
  (line) => {
    expect(readWithCel(object).areTrue([line])).toEqual({ isTrue: true });
  },
);

test("the guide's object is as ready as it shows", () => {
  const { status, reason, message } = readinessOf({ group: "apps", kind: "Deployment" }, object) ??
    {};

  expect([status, reason, message]).toEqual(json("json ready"));
});

test("the guide's ignored fields are left out as it shows", async () => {
  const { ignoreFields } = json<{ ignoreFields: IgnoreField[] }>("json ignored");
  const { spec } = (await openRemover(ignoreFields)).withoutPresent(object);
  const { replicas: _, ...left } = { replicas: undefined, ...(spec as JsonObject) };

  expect(left).toEqual(json("json left"));
  expect(spec).not.toHaveProperty("replicas");
});
