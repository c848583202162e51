/** How PostgreSQL carries out our statements, whatever it knows of the tables when it plans them. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Db } from "../../src/lib/db/connect.ts";
import { openSpecs } from "../spec/specs.ts";

const QUERIES = join(import.meta.dir, "../../sql/queries");
/** The statements that read a whole table, each with its reason. */
const MAY_READ_ALL: Record<string, string> = {
  "change/read.sql": "of the feed there is one row",
  "change/purge_default.sql": "the same",
};

/** The statements that read a whole index while nothing is known of the tables, each with its reason. */
const MAY_READ_INDEX: Record<string, string> = {
  "request_key/measure.sql": "its sum is of all there are",
  "resource/observe.sql": "of the few that are pending",
  "resource/pending_consumers.sql": "the same",
  "resource/why_not_created.sql": "rare, and planned anew when the table has grown",
  "tombstone/purge.sql": "once a minute, of the consumers",
};

const statements = readdirSync(QUERIES, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".sql"))
  .toSorted();

/** The plan that is kept for all later executions. */
async function plan(db: Db, path: string): Promise<string> {
  const text = readFileSync(join(QUERIES, path), "utf8");
  // The simple protocol takes parameters that are not given.
  const rows = await db.unsafe(`explain (generic_plan) ${text}`).simple();
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

async function readingAll(db: Db): Promise<string[]> {
  const found: string[] = [];
  for (const path of statements) {
    if (MAY_READ_ALL[path] === undefined && (await plan(db, path)).includes("Seq Scan")) {
      found.push(path);
    }
  }
  return found;
}

test("before anything is known of the tables, what is looked up is looked up in an index", async () => {
  await using specs = await openSpecs();
  const found: string[] = [];
  for (const path of statements) {
    const lines = (await plan(specs.db, path)).split("\n");
    const isWhole = (line: string, index: number) =>
      /(Index|Index Only) Scan /.test(line) && !lines[index + 1]?.includes("Index Cond:");
    if (MAY_READ_INDEX[path] === undefined && lines.some(isWhole)) found.push(path);
  }

  expect(found).toEqual([]);
});

test("no statement is planned to read a whole table because it was small at that time", async () => {
  await using specs = await openSpecs();
  const unknown = await readingAll(specs.db);
  await specs.db.unsafe("analyze");
  const empty = await readingAll(specs.db);
  await specs.create();
  await specs.db.unsafe("analyze");
  const small = await readingAll(specs.db);

  expect(statements.length).toBeGreaterThan(20);
  expect({ unknown, empty, small }).toEqual({ unknown: [], empty: [], small: [] });
});

for (const path of ["resource/find_due.sql", "resource/claim_pending.sql"]) {
  test(`${path} finds rows through their lane of the index, from where a walk goes on`, async () => {
    await using specs = await openSpecs();
    const unknown = await plan(specs.db, path);
    await specs.create();
    await specs.db.unsafe("analyze");
    const small = await plan(specs.db, path);

    for (const text of [unknown, small]) {
      expect(text).toContain("resources_pending_lane_idx");
      expect(text).toMatch(/Index Cond: \(.*consumer_name = .* AND .*id > /);
      expect(text).not.toMatch(/Sort Key: (resource|pending)\.id/);
    }
  });
}
