/** Plans that are kept, and tables that grow. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { analyzeGrown } from "../../src/lib/db/grown.ts";
import { query } from "../../src/lib/db/query.ts";
import { openDoors } from "../harness/doors.ts";
import { fillResources } from "../harness/bulk.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase } from "../harness/postgres.ts";

const STORE_REPORTS = readFileSync(
  join(import.meta.dir, "../../sql/queries/status/update.sql"),
  "utf8",
);
const TYPES = "text[], text[], int[], bigint[], int[], text, text, text[], bool[]";

/** How many rows of a table PostgreSQL plans for. */
async function knownRows(db: Db, table: string): Promise<number> {
  const text = "select reltuples::int as rows from pg_class where oid = $1::text::regclass";
  const [row] = await query<{ rows: number }>(db, text, [table]);
  return row?.rows ?? -1;
}

test("a statement that was planned for a handful of rows is planned anew when there are many", async () => {
  await using database = await createDatabase();
  const db = connect(database.address, { maxConnections: 1, applicationName: "grown" });
  await using _db = { [Symbol.asyncDispose]: () => db.end({ timeout: 5 }) };
  await fillResources(db, 1, 10);
  await db.unsafe("analyze");
  await db.unsafe(`prepare report (${TYPES}) as ${STORE_REPORTS}`);
  const plan = async () => {
    const given = TYPES.split(", ").map((type) => `null::${type}`).join(", ");
    const rows = await db.unsafe(`explain execute report (${given})`);
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  };
  const looksUp = /resources resource .*\n +Index Cond: .*id = report\.id/;
  expect(await plan()).not.toMatch(looksUp);

  await fillResources(db, 11, 5_000);
  expect(await plan()).not.toMatch(looksUp);
  await analyzeGrown(db);

  expect(await plan()).toMatch(looksUp);
});

test("a table is analyzed when it has twice the pages, and not before", async () => {
  await using database = await createDatabase();
  const { db } = database;
  const known = async () => {
    await analyzeGrown(db);
    return await knownRows(db, "resources");
  };

  await fillResources(db, 1, 10);
  const few = await known();
  await fillResources(db, 11, 4_000);
  const many = await known();
  await fillResources(db, 4_001, 6_000);
  const more = await known();
  await fillResources(db, 6_001, 12_000);

  expect([few, many, more, await known()]).toEqual([-1, 4_000, 4_000, 12_000]);
});

test("a server has what grows analyzed", async () => {
  await using doors = await openDoors();
  await fillResources(doors.db, 1, 4_000);

  const rows = await eventually(
    () => knownRows(doors.db, "resources"),
    (count) => count > 0,
    { timeoutMs: 30_000 },
  );

  expect(rows).toBe(4_000);
});
