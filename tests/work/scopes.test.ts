/** What is watched for what is wanted. */

import { expect, test } from "bun:test";
import type { ResourceType } from "../../src/lib/work/kube_api.ts";
import { placeKey, planScopes, type ScopeKnowledge } from "../../src/lib/work/scopes.ts";

const SECRETS = typeOf("secrets");
const CONFIG_MAPS = typeOf("configmaps");
const LIMITS = { streamsMax: 40, namesMax: 8 };

function typeOf(resource: string): ResourceType {
  return { group: "", version: "v1", kind: "x", resource, isNamespaced: true };
}

/** `count` names in each of some namespaces. */
function wanted(
  type: ResourceType,
  [namespaces, count]: [number, number],
  { isWhole }: { isWhole: boolean },
) {
  const names = () => new Map(Array.from({ length: count }, (_, i) => [`n${i}`, { isWhole }]));
  return {
    type,
    namespaces: new Map(Array.from({ length: namespaces }, (_, i) => [`ns${i}`, names()])),
  };
}

function knowing(known: Partial<ScopeKnowledge> = {}): ScopeKnowledge {
  return { isOpen: () => false, isForbidden: () => false, sizeOf: () => undefined, ...known };
}

function shapes(plan: ReturnType<typeof planScopes>) {
  const shape = (scope: { namespace: string; name: string; metadataOnly: boolean }) =>
    `${scope.namespace || "*"}/${scope.name || "*"}${scope.metadataOnly ? "" : " whole"}`;
  return [...plan.scopes.values()].map(shape);
}

test("few names are watched by name, and whole only where rules read more than metadata", () => {
  const wants = [
    wanted(CONFIG_MAPS, [1, 1], { isWhole: false }),
    wanted(SECRETS, [1, 1], { isWhole: true }),
  ];

  const plan = planScopes(wants, knowing(), LIMITS);

  expect(shapes(plan)).toEqual(["ns0/n0", "ns0/n0 whole"]);
});

test("many names of a namespace are one stream of metadata, which stays until they are clearly few", () => {
  const many = planScopes([wanted(CONFIG_MAPS, [1, 9], { isWhole: true })], knowing(), LIMITS);
  const wide = placeKey({ type: CONFIG_MAPS, namespace: "ns0", name: "" });
  const open = knowing({ isOpen: (key) => key === wide });
  const fewer = planScopes([wanted(CONFIG_MAPS, [1, 5], { isWhole: true })], open, LIMITS);
  const few = planScopes([wanted(CONFIG_MAPS, [1, 4], { isWhole: true })], open, LIMITS);

  expect(shapes(many)).toEqual(["ns0/*"]);
  expect(shapes(fewer)).toEqual(["ns0/*"]);
  expect(few.scopes.size).toBe(4);
});

test("a type in very many namespaces is watched in all of them, and another one stays narrow", () => {
  const wants = [
    wanted(CONFIG_MAPS, [500, 10], { isWhole: false }),
    wanted(SECRETS, [2, 1], { isWhole: false }),
  ];

  const plan = planScopes(wants, knowing(), LIMITS);

  expect(shapes(plan)).toEqual(["*/*", "ns0/n0", "ns1/n0"]);
});

test("a wide stream is whole where most of what is there is wanted whole, but never for Secrets", () => {
  const sized = knowing({ sizeOf: () => 20 });

  const plans = [10, 9].map((count) =>
    planScopes([wanted(CONFIG_MAPS, [1, count], { isWhole: true })], sized, LIMITS)
  );
  const secrets = planScopes([wanted(SECRETS, [1, 20], { isWhole: true })], sized, LIMITS);

  expect(plans.map(shapes)).toEqual([["ns0/* whole"], ["ns0/*"]]);
  expect(shapes(secrets)).toEqual(["ns0/*"]);
});

test("what may not be watched widely is watched by name as far as there are streams, and the rest polled", () => {
  const plan = planScopes(
    [wanted(CONFIG_MAPS, [1, 50], { isWhole: false })],
    knowing({ isForbidden: () => true }),
    LIMITS,
  );

  expect(plan.scopes.size).toBe(40);
  expect(plan.polled.map(({ name }) => name)).toEqual(
    Array.from({ length: 10 }, (_, i) => `n${40 + i}`),
  );
});
