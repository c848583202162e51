/** What goes into the database and comes out of it, and what its errors mean. */

import { expect, test } from "bun:test";
import { MaestroError } from "../../src/lib/errors.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { execute, query, runScript, sqlState, violates } from "../../src/lib/db/query.ts";
import { createDatabase } from "../harness/postgres.ts";

test("JSON comes back with every digit that went in", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const text = '{"b":1.0,"a":9007199254740993,"c":1e400,"text":"\\"1\\"","b":2}';

  const [row] = await query<Record<string, unknown>>(
    database.db,
    "select $1::json as document, $2::jsonb as searched, array[$1::json, null] as list",
    [text, '{"b": 1.10, "a": 9007199254740993}'],
  );

  expect(row).toEqual({
    document: text,
    searched: '{"a": 9007199254740993, "b": 1.10}',
    list: [text, null],
  });
});

test("a JSON string that is already text is not encoded again", async () => {
  await using database = await createDatabase({ isEmpty: true });

  const [row] = await query(database.db, "select json_typeof($1::json) as type", ['{"a":1}']);

  expect(row).toEqual({ type: "object" });
});

test("timestamps are RFC 3339 in UTC with microseconds, without trailing zeros", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const given = [
    "2026-01-02T03:04:05.678901Z",
    "2026-01-02T05:04:05.67+02:00",
    "2026-01-02T00:00:00Z",
  ];

  const [row] = await query(
    database.db,
    "select $1::timestamptz as a, $2::timestamptz as b, $3::timestamptz as c, $4::timestamptz[] as d",
    [...given, given],
  );

  const shown = ["2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05.67Z", "2026-01-02T00:00:00Z"];
  expect(row).toEqual({ a: shown[0], b: shown[1], c: shown[2], d: shown });
});

test("numbers of 64 bits and more are text, smaller ones are numbers", async () => {
  await using database = await createDatabase({ isEmpty: true });

  const [row] = await query(
    database.db,
    "select $1::int8 as large, $2::int4 as small, $3::numeric as exact, $4::bool as truth",
    ["9223372036854775807", -5, "0.10", false],
  );

  expect(row).toEqual({ large: "9223372036854775807", small: -5, exact: "0.10", truth: false });
});

test("arrays keep nulls, quotes, empty texts and the word NULL", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const texts = ['a "quoted" \\ one', null, "NULL", "", "{},", "ä\n"];

  const [row] = await query(
    database.db,
    "select $1::text[] as texts, $2::int[] as ints, $3::bigint[] as bigs, $4::bool[] as truths, $5::text[] as none",
    [texts, [1, null, -3], ["9223372036854775807", null, 5n], [true, null, false], []],
  );

  expect(row).toEqual({
    texts,
    ints: [1, null, -3],
    bigs: ["9223372036854775807", null, "5"],
    truths: [true, null, false],
    none: [],
  });
});

test("a statement without rows tells how many it touched", async () => {
  await using database = await createDatabase({ isEmpty: true });
  await runScript(
    database.db,
    "create table fruit (name text); insert into fruit values ('a'), ('b');",
  );

  expect(await execute(database.db, "delete from fruit where name <> $1", ["c"])).toBe(2);
});

test("a script that fails half way leaves nothing behind", async () => {
  await using database = await createDatabase({ isEmpty: true });

  const run = runScript(database.db, "create table fruit (name text); select 1 / 0;");

  expect(sqlState(await run.catch((error) => error))).toBe("22012");
  expect(await query(database.db, "select to_regclass('fruit') as fruit", [])).toEqual([{
    fruit: null,
  }]);
});

test("a violated constraint is known by its name", async () => {
  await using database = await createDatabase({ isEmpty: true });
  await runScript(database.db, "create table fruit (name text constraint fruit_name_key unique);");
  const insert = () => execute(database.db, "insert into fruit values ($1)", ["apple"]);
  await insert();

  const error = await insert().catch((error) => error);

  const wrapped = new MaestroError("conflict", "taken", { cause: error });
  const known = [error, wrapped].map((one) => violates(one, "fruit_name_key"));
  expect(known).toEqual([true, true]);
  expect([violates(error, "fruit_pkey")]).toEqual([false]);
  expect(sqlState(error)).toBe("23505");
});

test("a session that the server ends is unavailable, and the next query works", async () => {
  await using database = await createDatabase({ isEmpty: true, maxConnections: 1 });
  await using other = await createDatabase({ isEmpty: true, maxConnections: 1 });
  const [row] = await query<{ pid: number }>(
    database.db,
    "select pg_backend_pid()::int as pid",
    [],
  );
  const waiting = query(database.db, "select pg_sleep(30)", []).catch((error) => error);
  await query(other.db, "select pg_terminate_backend($1::int)", [row?.pid ?? 0]);

  const error = await waiting;

  expect(error).toBeInstanceOf(MaestroError);
  expect(error.code).toBe("unavailable");
  expect(await query(database.db, "select 1 as one", [])).toEqual([{ one: 1 }]);
});

test("a database that nobody serves is unavailable", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const nowhere = { ...database.address, host: "127.0.0.1", port: 1 };
  const db = connect(nowhere, { maxConnections: 1, applicationName: "test" });

  const error = await query(db, "select 1", []).catch((error) => error);
  await db.end();

  expect(error.code).toBe("unavailable");
});
