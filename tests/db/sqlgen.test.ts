/** The generator of typed queries, on a small schema of its own. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "bun:test";
import { sqlgen } from "../../tools/sqlgen.ts";
import { fastestFolder } from "../harness/postgres.ts";

const SCHEMA =
  "-- Fruit.\ncreate table fruit (name text primary key, weight bigint, document json);\n";
const TIMEOUT_MS = 20_000;

function makeTree(files: Record<string, string>): { path: string } & Disposable {
  const path = mkdtempSync(join(fastestFolder(), "maestro-tree-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, "sql", name)), { recursive: true });
    writeFileSync(join(path, "sql", name), text);
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const failureOf = (root: string) =>
  sqlgen({ root, out: root }).then(() => "none", (error: Error) => error.message);

test(
  "a query's function has its file's name, its header's parameters and the schema's types",
  async () => {
    using tree = makeTree({
      "migrations/0001_fruit.sql": SCHEMA,
      "queries/fruit/list_heavy.sql": `-- Lists fruit by name.
--
-- Heavy fruit only.
--
-- $1 weight_min
-- $2 names null for all
-- null: documented
select name, weight, document, name as documented, count(*) over () as total
from fruit where weight > $1 and ($2::text[] is null or name = any ($2))
`,
      "queries/fruit/remove.sql":
        "-- Removes fruit.\n-- $1 name\ndelete from fruit where name = $1;\n",
    });

    await sqlgen({ root: tree.path, out: tree.path });

    const text = readFileSync(join(tree.path, "src/gen/queries.ts"), "utf8");
    expect(text).toContain(`/** A row of \`fruit/list_heavy.sql\`. */
export interface FruitListHeavyRow {
  name: string;
  weight: string | null;
  document: string | null;
  documented: string | null;
  total: string | null;
}
`);
    expect(text).toContain(`function fruitListHeavy(
  db: Db,
  weightMin: string | bigint,
  names: readonly (string | null)[] | null,
): Promise<FruitListHeavyRow[]> {
  return query<FruitListHeavyRow>(db, fruitListHeavyText, [weightMin, names]);
}
`);
    expect(text).toContain(`function fruitRemove(
  db: Db,
  name: string,
): Promise<number> {
  return execute(db, fruitRemoveText, [name]);
}
`);
    expect(readFileSync(join(tree.path, "sql/schema.sql"), "utf8")).toContain(
      "create table fruit (\n",
    );
    expect(readFileSync(join(tree.path, "src/gen/migrations.ts"), "utf8")).toContain(
      'import m1 from "../../sql/migrations/0001_fruit.sql" with { type: "text" };',
    );
  },
  TIMEOUT_MS,
);

test("what is wrong in a query is told with its file", async () => {
  using tree = makeTree({
    "migrations/0001_fruit.sql": SCHEMA,
    "queries/fruit/a_misspelt.sql": "-- Gets fruit.\nselect name,\n  wieght\nfrom fruit\n",
    "queries/fruit/b_forgotten.sql": "-- Gets fruit.\nselect name from fruit where name = $1\n",
    "queries/fruit/c_unknown.sql": "-- Gets fruit.\n-- not null: colour\nselect name from fruit\n",
    "queries/fruit/d_silent.sql": "select name from fruit\n",
    "queries/fruit/e_double.sql": "-- Gets fruit.\nselect name, name from fruit\n",
  });

  const lines = (await failureOf(tree.path)).split("\n");

  expect(lines).toEqual([
    'sql/queries/fruit/a_misspelt.sql: column "wieght" does not exist (line 3)',
    "sql/queries/fruit/b_forgotten.sql: the query has 1 parameters, its header 0",
    'sql/queries/fruit/c_unknown.sql: its header names "colour", which it neither takes nor returns',
    "sql/queries/fruit/d_silent.sql: its first line must be a comment that says what it does",
    'sql/queries/fruit/e_double.sql: it returns two columns named "name"',
  ]);
}, TIMEOUT_MS);

test("migrations without a number, or with a gap, are refused", async () => {
  using tree = makeTree({
    "migrations/0001_fruit.sql": SCHEMA,
    "migrations/0003_late.sql": "-- Late.\nselect 1;\n",
  });

  expect(await failureOf(tree.path)).toContain('its name must be "0002_<what>.sql"');
}, TIMEOUT_MS);
