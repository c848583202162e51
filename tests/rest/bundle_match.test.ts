/** A watcher sees what the same search lists. */

import { expect, test } from "bun:test";
import * as q from "../../src/gen/queries.ts";
import { matchesColumns, matchesLabels } from "../../src/lib/rest/bundle_match.ts";
import { asSqlFilter, parseBundleSearch } from "../../src/lib/rest/bundle_search.ts";
import { openSpecs } from "../spec/specs.ts";

const LABELS = "payload->'metadata'->'labels'";

test("a change passes exactly the searches that list its bundle", async () => {
  await using specs = await openSpecs();
  const labels = [
    ...[undefined, {}, { a: "1" }, { a: "2", b: "x" }, { a: null }, { a: 1 }, { b: "null" }],
    ...[{ a: { c: [1, 2] } }, { a: "1", b: "x", c: "" }, { A: "1" }],
  ];
  for (const each of labels) {
    const metadata = JSON.stringify(each === undefined ? {} : { labels: each });
    await specs.create({ metadata });
  }
  await specs.create({ source: "others" });
  const searches = [
    ...["", "source = 'tests'", "source in ('others', 'x')", `consumer_name = '${specs.consumer}'`],
    ...["name = 'x'", "(source = 'tests' or source = 'others')"],
    ...[`${LABELS} @> '{"a":"1"}'`, `${LABELS} @> '{}'`, `${LABELS} @> '{"a":{"c":[2]}}'`],
    ...[`${LABELS}->>'a' = '1'`, `${LABELS}->>'a' <> '1'`, `${LABELS}->>'a' <>null`],
    ...[`${LABELS}->>'a' in ('1','2')`, `${LABELS}->>'a' not in ('1')`],
    ...[`${LABELS}->>'b' = 'null'`, `${LABELS}->>'a' = '1' and ${LABELS}->>'b' = 'x'`],
  ];
  const all = await q.resourcePageBundles(specs.db, ...asSqlFilter(parseBundleSearch("")), "", 100);

  expect(all).toHaveLength(labels.length + 1);
  for (const search of searches) {
    const filter = tryParse(search);
    if (filter === undefined) continue;
    const listed = await q.resourcePageBundles(specs.db, ...asSqlFilter(filter), "", 100);
    const matched = all.filter((row) => {
      const known = JSON.parse(row.metadata ?? "{}").labels;
      const text = known === undefined ? null : JSON.stringify(known);
      return matchesColumns(filter, row) && matchesLabels(filter, text);
    });
    expect([search, ...matched.map(({ id }) => id)]).toEqual([search, ...listed.map((r) => r.id)]);
  }
});

function tryParse(search: string) {
  try {
    return parseBundleSearch(search);
  } catch (error) {
    if (!search.endsWith("<>null")) throw error;
    return undefined;
  }
}
