/** Migrations on a real database: once, twice, at once, and when the histories contradict each other. */

import { expect, test } from "bun:test";
import { MIGRATIONS } from "../../src/gen/migrations.ts";
import {
  applyMigrations,
  checkMigrations,
  type Migration,
} from "../../src/lib/db/apply_migrations.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { checkSchema, checkServer, migrate } from "../../src/lib/db/migrate.ts";
import { query, runScript } from "../../src/lib/db/query.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";

const FIRST: Migration = {
  id: "0001_fruit",
  text: "-- Fruit.\ncreate table fruit (id int)\n-- the end",
};
const SECOND: Migration = {
  id: "0002_colour",
  text: "-- Colours.\nalter table fruit add colour text;\n",
};
const BREAKING: Migration = {
  id: "0003_gone",
  text: "-- No fruit.\n-- breaking: older servers read fruit\ndrop table fruit;\n",
};

const messageOf = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => undefined, (error) => error);
  return error?.message;
};

test("migrating twice changes nothing and says nothing the second time", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const lines: string[] = [];
  const log = testLogger((line) => lines.push(line));
  const first = await migrate(database.db, log);
  const count = lines.length;

  const second = await migrate(database.db, log);

  expect(first).toEqual(MIGRATIONS.map((migration) => migration.id));
  expect(second).toEqual([]);
  expect(lines.length).toBe(count);
  expect(count).toBe(MIGRATIONS.length);
  await checkSchema(database.db);
});

test("a PostgreSQL that is too old is refused by its version", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const [row] = await query<{ server_version: string }>(database.db, "show server_version", []);

  await checkServer(database.db);
  const message = await messageOf(checkServer(database.db, 99));

  expect(message).toBe(
    `Cannot use the database: it is PostgreSQL ${row?.server_version}, ` +
      "and this program needs 99 or newer",
  );
});

test("programs that migrate at once all succeed, and each migration runs once", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const pools = [1, 2, 3].map(() =>
    connect(database.address, { maxConnections: 1, applicationName: "test" })
  );
  const slow = [
    { id: FIRST.id, text: `select pg_sleep(0.1);\n${FIRST.text}` },
    { id: SECOND.id, text: `select pg_sleep(0.1);\n${SECOND.text}` },
  ];

  const added = await Promise.all(pools.map((pool) => applyMigrations(pool, testLogger(), slow)));
  await Promise.all(pools.map((pool) => pool.end()));

  expect(added.flat().toSorted()).toEqual([FIRST.id, SECOND.id]);
});

test("a migration that was changed after it had been applied is refused", async () => {
  await using database = await createDatabase({ isEmpty: true });
  await applyMigrations(database.db, testLogger(), [FIRST]);
  const changed = [{ id: FIRST.id, text: `${FIRST.text} ` }, SECOND];

  const migrated = await messageOf(applyMigrations(database.db, testLogger(), changed));
  const checked = await messageOf(checkMigrations(database.db, changed));

  const state = 'migration "0001_fruit" was changed after it had been applied';
  expect(migrated).toBe(`Cannot migrate the database: ${state}`);
  expect(checked).toBe(`Cannot use the database: ${state}`);
});

test("a migration that fails leaves nothing behind and names itself", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const broken = { id: "0002_broken", text: "create table half (id int);\nselect nothing;" };

  const message = await messageOf(applyMigrations(database.db, testLogger(), [FIRST, broken]));

  expect(message).toBe(
    'Cannot migrate the database: migration "0002_broken" failed: column "nothing" does not exist',
  );
  expect(await query(database.db, "select id, to_regclass('half') as half from migrations", []))
    .toEqual([{ id: FIRST.id, half: null }]);
});

test("a server on a database without a schema or with an old one is told what to run", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const empty = await messageOf(checkMigrations(database.db, [FIRST]));
  await applyMigrations(database.db, testLogger(), [FIRST]);

  const old = await messageOf(checkMigrations(database.db, [FIRST, SECOND]));

  expect(empty).toBe(
    'Cannot use the database: it has no schema, this program needs "0001_fruit"; run "maestro migration"',
  );
  expect(old).toBe(
    'Cannot use the database: its schema is at "0001_fruit", this program needs "0002_colour"; ' +
      'run "maestro migration"',
  );
});

test("an older server runs on a newer schema, unless a migration says that it breaks it", async () => {
  await using database = await createDatabase({ isEmpty: true });
  await applyMigrations(database.db, testLogger(), [FIRST, SECOND]);
  const onNewer = await messageOf(checkMigrations(database.db, [FIRST]));
  await applyMigrations(database.db, testLogger(), [FIRST, SECOND, BREAKING]);

  const onBreaking = await messageOf(checkMigrations(database.db, [FIRST]));

  expect(onNewer).toBeUndefined();
  expect(onBreaking).toBe(
    'Cannot use the database: its migration "0003_gone" is newer than this program and breaks it',
  );
});

test("the database of another program with a table of migrations is left alone", async () => {
  await using database = await createDatabase({ isEmpty: true });
  await runScript(database.db, "create table migrations (id varchar(255) primary key);");

  expect(await messageOf(migrate(database.db, testLogger()))).toContain(
    "belongs to another program",
  );
});

test("resources of before the option ttlSecondsAfterFinished get their time, and nothing else does", async () => {
  await using database = await createDatabase({ isEmpty: true });
  const before = MIGRATIONS.filter(({ id }) => id < "0012");
  await applyMigrations(database.db, testLogger(), before);
  const option = (ttl: unknown) => ({ deleteOption: { ttlSecondsAfterFinished: ttl } });
  const done = (version: number) => ({
    conditions: [{ type: "Complete", status: "True", observedGeneration: version }],
  });
  const rows: [id: string, spec: unknown, status: unknown][] = [
    ["done", option(60), done(2)],
    ["old", option(60), done(1)],
    ["running", option(60), { conditions: [] }],
    ["odd", option("soon"), done(2)],
    ["none", { manifests: ["ttlSecondsAfterFinished"] }, done(2)],
  ];
  await query(database.db, "insert into consumers (id, name) values ('c', 'c')", []);
  for (const [id, spec, status] of rows) {
    await query(
      database.db,
      "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
        "spec_event, status, status_version, status_sequence) " +
        "values ($1, $1, 's', 'c', 'Bundle', 2, $2::json, '', '{}', $3::json, 2, 7)",
      [id, JSON.stringify(spec), JSON.stringify(status)],
    );
  }

  await migrate(database.db, testLogger());

  const found = await query(
    database.db,
    "select id, ttl_seconds, round(extract(epoch from expires_at - now()))::int as expires_in " +
      "from resources where ttl_seconds is not null order by id",
    [],
  );
  expect(found).toEqual([
    { id: "done", ttl_seconds: 60, expires_in: 60 },
    { id: "old", ttl_seconds: 60, expires_in: null },
    { id: "running", ttl_seconds: 60, expires_in: null },
  ]);
});
