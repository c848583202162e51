/** When PostgreSQL plans: once for what is kept, each time for what is made for one request. */

import { expect, test } from "bun:test";
import { connect } from "../../src/lib/db/connect.ts";
import { query, queryOnce } from "../../src/lib/db/query.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";

const LOOK_UP = "select id from consumers join unnest($1::text[]) as input (name) using (name)";
const MODE = "select current_setting('plan_cache_mode') as mode where $1::int = 1";

function connectOnce({ address }: TestDatabase) {
  const db = connect(address, { maxConnections: 1, applicationName: "plans" });
  return { db, [Symbol.asyncDispose]: () => db.end({ timeout: 5 }) };
}

test("a statement is planned once, however short the lists of its executions are", async () => {
  await using database = await createDatabase();
  await using session = connectOnce(database);
  for (let n = 0; n < 10; n++) await query(session.db, LOOK_UP, [[`c${n}`]]);

  const [row] = await query(
    session.db,
    "select generic_plans, custom_plans from pg_prepared_statements where statement = $1",
    [LOOK_UP],
  );

  expect(row).toEqual({ generic_plans: "10", custom_plans: "0" });
});

test("what is made for one request is planned for its parameters, beside what is kept", async () => {
  await using database = await createDatabase();
  await using session = connectOnce(database);

  const [once] = await queryOnce(session.db, MODE, [1]);
  const [kept] = await query(session.db, MODE, [1]);

  expect({ once, kept }).toEqual({
    once: { mode: "auto" },
    kept: { mode: "force_generic_plan" },
  });
});

test("the sessions of searches end with their pool", async () => {
  await using database = await createDatabase();
  {
    await using session = connectOnce(database);
    await queryOnce(session.db, MODE, [1]);
  }

  await eventually(
    () =>
      query(
        database.db,
        "select pid from pg_stat_activity where datname = current_database() and application_name = $1",
        ["plans"],
      ),
    (sessions) => sessions.length === 0,
  );
});
