/** How PostgreSQL carries out searches: through an index, in a table of a hundred thousand rows. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { countStatement, findStatement } from "../../src/lib/db/find.ts";
import { query, queryOnce } from "../../src/lib/db/query.ts";
import { CONSUMERS, type Listed, RESOURCES } from "../../src/lib/search/listed.ts";
import { parseOrder } from "../../src/lib/search/order.ts";
import { parseSearch } from "../../src/lib/search/parse.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";

const ROWS = 100_000;
const TIMEOUT_MS = 120_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  const { db } = database;
  await query(
    db,
    "insert into consumers (id, name, labels) select 'c' || n, 'c' || n, " +
      "jsonb_build_object('n', n::text, 'half', (n % 2)::text) || case when n % 10000 = 0 " +
      "then '{\"rare\":\"x\"}' else '{}'::jsonb end from generate_series(1, $1::int) n",
    [ROWS],
  );
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, metadata, created_at) select 'r' || n, 'name-' || n, 's' || n % 1000, " +
      "'c' || 1 + n % 1000, 'Bundle', 1, '{\"manifests\":[]}', '', '{}', jsonb_build_object(" +
      "'labels', jsonb_build_object('n', n::text, 'half', (n % 2)::text) || case when n % 10000 = 0 " +
      "then '{\"rare\":\"x\"}' else '{}'::jsonb end), now() - n * interval '1 s' " +
      "from generate_series(1, $1::int) n",
    [ROWS],
  );
}, TIMEOUT_MS);
afterAll(() => database[Symbol.asyncDispose]());

/** Looks at all tables, and notes which of their pages everybody sees: an index alone can be read only then. */
async function vacuum({ db }: TestDatabase): Promise<void> {
  const session = await db.reserve();
  // Rows whose commit is not on disk are not noted, and neither are those of a neighbour in PostgreSQL's
  // log of commits: each table's own vacuum is such a neighbour to the next one.
  await session.unsafe("set synchronous_commit = on");
  await session.unsafe("vacuum analyze");
  await session.unsafe("reset synchronous_commit");
  session.release();
}

interface Node {
  "Node Type": string;
  "Index Name"?: string;
  "Index Cond"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: Node[];
}

/** What the plan does, and how many rows it looks at, found or thrown away. */
async function explain(listed: Listed, search: string, orderBy = "", limit = 100) {
  const searched = {
    listed,
    condition: parseSearch(listed, search),
    ...(listed === RESOURCES && { type: "Bundle" as const }),
  };
  const page = findStatement({
    ...searched,
    order: parseOrder(listed, orderBy),
    limit,
    documents: { spec: true, status: true },
  });
  const nodes: Node[] = [];
  const gather = (node: Node) => {
    nodes.push(node);
    node.Plans?.forEach(gather);
  };
  for (const { text, parameters } of [page, countStatement(searched)]) {
    const [row] = await queryOnce<{ "QUERY PLAN": string }>(
      database.db,
      `explain (analyze, format json) ${text}`,
      parameters,
    );
    gather(JSON.parse(row?.["QUERY PLAN"] ?? "")[0].Plan);
  }
  const reading = nodes.filter((node) => node["Node Type"].includes("Scan"));
  return {
    total: nodes.find((node) => node["Node Type"] === "Aggregate")?.["Actual Rows"],
    isSequential: reading.some((node) => node["Node Type"].includes("Seq Scan")),
    indexes: [...new Set(reading.flatMap((node) => node["Index Name"] ?? []))].sort(),
    looked: reading.reduce(
      (sum, node) =>
        sum + node["Actual Loops"] *
          (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0) +
            (node["Rows Removed by Index Recheck"] ?? 0)),
      0,
    ),
  };
}

const LABELS = "payload->'metadata'->'labels'";
const BY_LABELS = "resources_labels_idx";

/** A search of a hundred thousand, the index that answers it, and how many rows pass. */
const SEARCHES: [string, RegExp, number][] = [
  ["id = 'r77'", /^resources_pkey$/, 1],
  ["id in ('r77', 'r78', 'r99999')", /^resources_pkey$/, 3],
  ["name = 'name-77'", /^resources_name_key$/, 1],
  ["name in ('name-77', 'name-78')", /^resources_name_key$/, 2],
  ["source = 's7'", /^resources_source_id_idx$/, 100],
  ["source = 's7' and consumer_name = 'c8'", /^resources_(source|consumer_name)_id_idx$/, 100],
  ["consumer_name = 'c8'", /^resources_consumer_name_id_idx$/, 100],
  [
    "source = 's7' and (consumer_name = 'c8' or consumer_name = 'c9')",
    /^resources_(source|consumer_name)_id_idx$/,
    100,
  ],
  [`${LABELS}@>'{"n":"77"}'`, new RegExp(`^${BY_LABELS}$`), 1],
  [`source='s77' and ${LABELS}@>'{"n":"77","half":"1"}'`, /^resources_(labels|source_id)_idx/, 100],
  [`${LABELS}->>'n' = '77'`, new RegExp(`^${BY_LABELS}$`), 1],
  [`${LABELS}->>'n'in('77','78','x')`, new RegExp(`^${BY_LABELS}$`), 2],
  [`${LABELS}->>'rare'<>null`, new RegExp(`^${BY_LABELS}$`), 10],
  [`${LABELS}->>'rare'not in('y')`, new RegExp(`^${BY_LABELS}$`), 10],
  ["labels->>'rare' is not null", new RegExp(`^${BY_LABELS}$`), 10],
  ["labels->>'rare' like 'x%' or name = 'name-5'", /^resources_(labels_idx|name_key)$/, 11],
];

test.each(["before", "after"])(
  "a search reads what passes through its index, %s PostgreSQL has looked at the tables",
  async (when) => {
    if (when === "after") await database.db.unsafe("analyze");
    for (const [search, index, rows] of SEARCHES) {
      // Of a source it may have everything or nothing, for all that is known.
      if (when === "before" && search === "source = 's7'") continue;
      const { isSequential, indexes, looked } = await explain(RESOURCES, search);
      expect([search, isSequential, indexes.every((name) => index.test(name)), indexes]).toEqual(
        [search, false, true, indexes],
      );
      // For the total and for the page: in each index, in the table, and once more where they are put in order.
      expect(looked).toBeLessThanOrEqual(rows * 15 + 50);
    }
    for (
      const [search, index] of [
        ["id = 'c77'", "consumers_pkey"],
        ["name in ('c77', 'c78')", "consumers_name_key"],
        [`labels @> '{"n":"77"}'`, "consumers_labels_idx"],
        [`labels->>'n' = '77'`, "consumers_labels_idx"],
        ["labels->>'rare' <> 'y'", "consumers_labels_idx"],
      ] as const
    ) {
      const { isSequential, indexes, looked } = await explain(CONSUMERS, search);
      expect([search, isSequential, indexes]).toEqual([search, false, [index]]);
      expect(looked).toBeLessThan(150);
    }
  },
  TIMEOUT_MS,
);

test("a page of everything is read in order, and the rest is only counted", async () => {
  await vacuum(database);
  for (
    const [listed, index] of [
      [RESOURCES, "resources_type_created_at_id_idx"],
      [CONSUMERS, "consumers_created_at_id_idx"],
    ] as const
  ) {
    const { isSequential, indexes, looked } = await explain(listed, "");
    expect([isSequential, indexes.includes(index)]).toEqual([false, true]);
    expect(looked).toBeLessThan(ROWS + 1_000);
  }
}, TIMEOUT_MS);

test("a status, a send and a sign of life leave every index of a search as it is", async () => {
  const { db } = database;
  await database.db.unsafe("vacuum full resources, consumers");
  const updates = [
    "update resources set status = '{}', status_sequence = 1, observed_version = 1, " +
    "applied_version = 1, updated_at = now() where consumer_name = 'c8'",
    "update resources set sent_version = 1, sent_at = now(), attempts = 1, " +
    "next_send_at = now() where consumer_name = 'c8'",
    "update consumers set last_seen_at = now() where name = 'c8'",
  ];
  const count = async () => {
    await query(db, "select pg_stat_force_next_flush()", []);
    await query(db, "select pg_stat_clear_snapshot()", []);
    const text = "select sum(n_tup_upd)::int as all, sum(n_tup_hot_upd)::int as hot " +
      "from pg_stat_user_tables where relname in ('resources', 'consumers')";
    return (await query<{ all: number; hot: number }>(db, text, []))[0] ?? { all: 0, hot: 0 };
  };
  // Once it is observed, a resource leaves the index of what is pending: that is no index of a search.
  await query(db, "update resources set observed_version = 1 where consumer_name = 'c8'", []);
  const before = await count();

  for (const update of updates) await query(db, update, []);
  const after = await count();

  expect(after.all - before.all).toBe(201);
  expect(after.hot - before.hot).toBeGreaterThan(150);
}, TIMEOUT_MS);
