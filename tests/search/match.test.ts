/** A watcher sees what the same search lists: in memory as in SQL, also where a value is null. */

import { expect, test } from "bun:test";
import * as q from "../../src/gen/queries.ts";
import { count, find } from "../../src/lib/db/find.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { RESOURCES } from "../../src/lib/search/listed.ts";
import { checkFollowed, matches } from "../../src/lib/search/match.ts";
import { parseOrder } from "../../src/lib/search/order.ts";
import { parseSearch } from "../../src/lib/search/parse.ts";
import type { Condition } from "../../src/lib/search/tree.ts";
import { rollDice } from "../faults/dice.ts";
import { goodSearch, searchOf, wild } from "./hostile.ts";
import { openSpecs } from "../spec/specs.ts";

type Specs = Awaited<ReturnType<typeof openSpecs>>;

const LABELS = [
  ...[undefined, {}, { a: "1" }, { a: "2", b: "x" }, { a: null }, { a: 1 }, { b: "null" }],
  ...[{ a: { c: [1, 2] } }, { a: "1", b: "x", c: "" }, { A: "1" }, { a: "Ab%_\\é" }, { a: ["1"] }, {
    a: 1.5,
  }],
];

async function fill(specs: Specs): Promise<void> {
  for (const labels of LABELS) {
    await specs.create({ metadata: JSON.stringify(labels === undefined ? {} : { labels }) });
  }
  await specs.create({ source: "others" });
}

async function listed(specs: Specs, condition: Condition): Promise<string[]> {
  const searched = { listed: RESOURCES, condition };
  const found = await find(specs.db, {
    ...searched,
    order: parseOrder(RESOURCES, "id"),
    limit: 1_000,
    documents: { spec: false, status: false },
  });
  expect(found.length).toBe(await count(specs.db, searched));
  return found.map(({ id }) => id);
}

async function matched(specs: Specs, condition: Condition): Promise<string[]> {
  const ids = await listed(specs, { all: [] });
  const rows = await q.resourceReadListed(specs.db, ids, ...[true, true] as const);
  const passing = rows.filter((row) => {
    const { labels = null } = JSON.parse(row.metadata ?? "{}");
    return matches(condition, { ...row, labels });
  });
  const found = new Set(passing.map(({ id }) => id));
  return ids.filter((id) => found.has(id));
}

test("a change passes exactly the searches that list its bundle", async () => {
  await using specs = await openSpecs();
  await fill(specs);
  const searches = [
    ...["", "source = 'tests'", "source in ('others', 'x')", `consumer_name = '${specs.consumer}'`],
    ...["name = 'x'", "(source = 'tests' or source = 'others')", "not source = 'tests'"],
    ...["source < 'p'", "source >= 'tests'", "source between 'a' and 'p'", "name is null"],
    ...["source like 'o%'", "source not ilike 'TE_TS'", "type = 'Bundle' and not type like 'S%'"],
    ...[`labels @> '{"a":"1"}'`, `labels @> '{}'`, `labels @> '{"a":{"c":[2]}}'`],
    ...[`labels->'a' @> '"1"'`, `not labels->'a' @> '1'`, "labels->'a' is null", "labels is null"],
    ...["labels->>'a' = '1'", "labels->>'a' <> '1'", "labels->>'a' <>null"],
    ...["labels->>'a' in ('1','2')", "labels->>'a' not in ('1')", "not labels->>'a' = '1'"],
    ...["labels->>'a' = '1.5'", "labels->>'a' in ('1.5', '[', 'true')"],
    ...["labels->>'b' = 'null'", "labels->>'a' = '1' and labels->>'b' = 'x'"],
    ...["labels->>'a' is null or not (labels->>'a' = '1' and not labels->>'b' = 'x')"],
    ...["labels->>'a' like '%b\\%\\_%'", "labels->>'a' ilike 'aB%é'", "labels->>'a' like '_'"],
    ...["payload->'metadata'->'labels'->>'c' = ''", "metadata->'labels'->>'A' is not null"],
  ];

  for (const search of searches) {
    const condition = parseSearch(RESOURCES, search);
    checkFollowed(condition);
    const inMemory = await matched(specs, condition);
    expect([search, ...inMemory]).toEqual([search, ...await listed(specs, condition)]);
  }
});

test("what dice put together passes in memory exactly where it passes in SQL", async () => {
  await using specs = await openSpecs();
  await fill(specs);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const dice = rollDice(seed);
  const tests = [
    ...["source = 'tests'", "source > 'p'", "labels->>'a' = '1'", "labels->>'a' is null"],
    ...["labels->>'b' in ('x', 'null')", "labels->>'a' not like '1%'", `labels @> '{"a":"1"}'`],
    ...["labels->>'c' <> ''", "labels is not null", "name is null", "labels->'b' @> '\"x\"'"],
  ];
  const build = (depth: number): string => {
    if (depth === 0 || dice.happens(0.2)) return dice.pick(tests);
    if (dice.happens(0.3)) return `not (${build(depth - 1)})`;
    return `(${build(depth - 1)} ${dice.pick(["and", "or"])} ${build(depth - 1)})`;
  };

  for (let count = 0; count < 150; count++) {
    const search = build(4);
    const condition = parseSearch(RESOURCES, search);
    const inMemory = await matched(specs, condition);
    const inSql = await listed(specs, condition);
    expect([seed, search, ...inMemory]).toEqual([seed, search, ...inSql]);
  }
});

test("M27: whatever a watch is asked to follow, it is followed or refused with a reason", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const dice = rollDice(seed);
  const bundles = LABELS.map((labels, index) => ({
    ...{ id: `i${index}`, name: `a${index}`, source: "a", consumer_name: "b", type: "Bundle" },
    labels: labels ?? null,
  }));
  const answers = { followed: 0, refused: 0 };

  for (let count = 0; count < 20_000; count++) {
    const search = wild(dice, dice.happens(0.5) ? searchOf : goodSearch);
    try {
      const condition = parseSearch(RESOURCES, search);
      checkFollowed(condition);
      for (const bundle of bundles) matches(condition, bundle);
      answers.followed++;
    } catch (error) {
      const { peerNumber } = error instanceof MaestroError ? error : {};
      expect([seed, search, peerNumber]).toEqual([seed, search, 21]);
      answers.refused++;
    }
  }
  expect(answers.followed).toBeGreaterThan(1_000);
  expect(answers.refused).toBeGreaterThan(1_000);
});

test("what is not known of a bundle that is gone lets it pass", () => {
  const passes = (search: string) =>
    matches(parseSearch(RESOURCES, search), { id: "i", source: "s", labels: null });

  expect(passes("name = 'x'")).toBeTrue();
  expect(passes("not name = 'x' and source = 's'")).toBeTrue();
  expect(passes("name = 'x' and source = 't'")).toBeFalse();
  expect(passes("labels->>'a' = 'x' or source = 't'")).toBeFalse();
});

test.each([
  ["updated_at > '2026-01-01'", "a watch cannot follow updated_at; it can follow id, name, "],
  ["source = 'a' or not status is null", "a watch cannot follow status"],
  ["version = 2", "a watch cannot follow version"],
  ["metadata->>'name' = 'a'", "a watch cannot follow metadata"],
  ["name ~= 'a'", "a watch cannot follow ~= and ~!"],
])("a watch refuses what it cannot follow: %s", (search, reason) => {
  const condition = parseSearch(RESOURCES, search);

  expect(() => checkFollowed(condition)).toThrow(reason);
});
