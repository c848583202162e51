/** Odd requests by chance: whatever somebody sends, the fault is told to be theirs. */

import { expect, test } from "bun:test";
import { isObject } from "../../src/lib/json.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { type Dice, rollDice } from "../faults/dice.ts";
import { openRest, V1 } from "./harness.ts";

const SEED = 20_260_725;
const REQUESTS = 1_500;

const ODD: unknown[] = [
  ...[null, true, 0, -1, 1.5, 1e308, 9_007_199_254_740_993, "", "x".repeat(3_000)],
  ...["\0", "\ud800", "💥", "../..", "__proto__", "a/b/c", "%00"],
  ...[[], {}, [[]], [null], [{}], { "": "" }, { "a\0": 1 }, { a: null }],
];
const TYPES = ["json", "json", "json", "yaml", "merge-patch+json"];
const TAGS = ['"1"', "*", '"0"', '"2147483648"', "x", '"1-zzzzzzzzzzzzz-ff"', '"1-0"'];

/** The value with something else in a place or two. */
function spoil(value: unknown, dice: Dice, depth = 0): unknown {
  if (depth > 0 && dice.happens(0.1)) return dice.pick(ODD);
  if (Array.isArray(value)) {
    const items = value.map((item) => spoil(item, dice, depth + 1));
    return dice.happens(0.1) ? [...items, dice.pick(ODD)] : items;
  }
  if (!isObject(value)) return value;
  const members = Object.entries(value)
    .filter(() => !dice.happens(0.03))
    .map(([key, inner]) => [
      dice.happens(0.02) ? `odd ${key}` : key,
      spoil(inner, dice, depth + 1),
    ]);
  return Object.fromEntries(members);
}

test("no change, however odd, is answered as if it were a fault of ours", async () => {
  await using rest = await openRest();
  const dice = rollDice(SEED);
  const consumer_name = await rest.consumer();
  const bundle = (id: string) => ({
    ...{ id, name: id, consumer_name, manifests: [NGINX], metadata: { labels: { a: "b" } } },
    manifest_configs: [
      { resourceIdentifier: { group: "apps", resource: "deployments", name: "a", namespace: "b" } },
    ],
    delete_option: { propagationPolicy: "Orphan" },
    executor: { subject: { type: "ServiceAccount" } },
  });
  const steps = [
    { op: "replace", path: "/manifests/0/metadata/name", value: "b" },
    { op: "copy", from: "/manifests", path: "/metadata/copies" },
    { op: "move", from: "/metadata/labels", path: "/metadata/annotations" },
  ];
  const single = { consumer_name, manifest: NGINX, update_strategy: { type: "Update" } };
  const make = (id: string): [method: string, path: string, body: unknown][] => [
    ["POST", "/resource-bundles", bundle(id)],
    ["PUT", `/resource-bundles/${id}`, bundle(id)],
    ["PATCH", "/resource-bundles/fixed", { ...bundle("fixed"), version: 2 }],
    ["PATCH", "/resource-bundles/fixed", { metadata: { labels: { turn: id } } }],
    ["PATCH", "/resource-bundles/fixed", steps],
    ["POST", "/resources", single],
    ["POST", "/resource-bundles:batch", {
      items: [
        { action: "create", bundle: bundle(id) },
        { action: "apply", bundle: bundle("fixed") },
        { action: "patch", id: "fixed", patch: steps, version: 1 },
        { action: "delete", id },
      ],
    }],
  ];
  await rest.call("PUT", `${V1}/resource-bundles/fixed`, bundle("fixed"));

  const statuses = new Map<number, number>();
  const faults: string[] = [];
  for (let count = 0; count < REQUESTS; count++) {
    const [method, path, body] = dice.pick(make(`odd-${count}`));
    const type = Array.isArray(body) ? "json-patch+json" : dice.pick(TYPES);
    const headers: Record<string, string> = { "Content-Type": `application/${type}` };
    if (dice.happens(0.1)) headers["If-Match"] = dice.pick(TAGS);
    if (dice.happens(0.1)) headers["If-None-Match"] = "*";
    if (dice.happens(0.2)) headers["Idempotency-Key"] = `key-${count % 50}`;
    const query = dice.happens(0.1) ? "?dryRun=true" : dice.happens(0.1) ? "?name=%00&x=%F0" : "";
    const text = JSON.stringify(spoil(body, dice));

    const answer = await rest.call(method, `${V1}${path}${query}`, text, headers);

    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    const items: { status: number }[] = Array.isArray(answer.body?.items) ? answer.body.items : [];
    if (answer.status >= 500 || items.some(({ status }) => status >= 500)) {
      faults.push(`${method} ${path}${query} ${JSON.stringify(headers)} ${text}: ${answer.text}`);
    }
  }

  expect(faults).toEqual([]);
  for (const status of [200, 201, 400, 409, 412]) {
    expect(statuses.get(status) ?? 0).toBeGreaterThan(0);
  }
}, 120_000);
