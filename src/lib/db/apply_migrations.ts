/**
 * Brings a database to a list of migrations, and tells whether it is there.
 *
 * Each migration is one message to PostgreSQL and so one transaction: the lock, a look whether another
 * program was first, the migration, and the note that it ran. Several programs may do this at once.
 */

import { describeError, MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Db } from "./connect.ts";
import { query, runScript, sqlState } from "./query.ts";

/** A file of `sql/migrations`; the id is its name without the ending. */
export interface Migration {
  id: string;
  text: string;
}

interface AppliedRow {
  id: string;
  checksum: string;
  breaking: boolean;
}

/** Any number will do, as long as all versions of the program agree on it. */
const LOCK = "select pg_advisory_xact_lock(7235419061);";
/** Our SQLSTATE for "another program applied it while we waited for the lock". */
const ALREADY_APPLIED = "MA001";
const UNDEFINED_TABLE = "42P01";
const UNDEFINED_COLUMN = "42703";

const CREATE_TABLE = `${LOCK}
create table if not exists migrations (
  id text primary key,
  checksum text not null,
  breaking boolean not null,
  applied_at timestamptz not null default now()
);`;

/** Applies what is missing, in order, and returns the ids. Running it again does nothing. */
export async function applyMigrations(
  db: Db,
  log: Logger,
  migrations: readonly Migration[],
): Promise<string[]> {
  if (await readApplied(db) === undefined) await runScript(db, CREATE_TABLE);
  const applied = checkHistory(await readApplied(db) ?? [], migrations, "migrate");
  const added: string[] = [];
  for (const migration of migrations.slice(applied)) {
    if (!await applyOne(db, migration)) continue;
    added.push(migration.id);
    log.info("applied migration", { migration: migration.id });
  }
  return added;
}

/** Throws a sentence that says what to do, unless this program can run on the database's schema. */
export async function checkMigrations(db: Db, migrations: readonly Migration[]): Promise<void> {
  const applied = checkHistory(await readApplied(db) ?? [], migrations, "use");
  const wanted = migrations.at(-1)?.id;
  if (applied >= migrations.length) return;
  const state = applied === 0
    ? "it has no schema"
    : `its schema is at "${migrations[applied - 1]?.id}"`;
  throw new MaestroError(
    "unavailable",
    `Cannot use the database: ${state}, this program needs "${wanted}"; run "maestro migration"`,
  );
}

/** Returns how many of the migrations are applied, or throws if the two histories contradict each other. */
function checkHistory(
  rows: readonly AppliedRow[],
  migrations: readonly Migration[],
  verb: "migrate" | "use",
): number {
  for (const [index, row] of rows.entries()) {
    const migration = migrations[index];
    if (migration === undefined) {
      if (row.breaking) {
        throw refusal(verb, `its migration "${row.id}" is newer than this program and breaks it`);
      }
      continue;
    }
    if (row.id !== migration.id) {
      throw refusal(verb, `it has migration "${row.id}" where this program has "${migration.id}"`);
    }
    if (row.checksum !== checksum(migration)) {
      throw refusal(verb, `migration "${row.id}" was changed after it had been applied`);
    }
  }
  return rows.length;
}

/** Returns false if another program was first. */
async function applyOne(db: Db, migration: Migration): Promise<boolean> {
  const { id, text } = migration;
  if (!/^[0-9a-z_]+$/.test(id)) {
    throw new Error(`the migration "${id}" has a name that is not plain`);
  }
  const isBreaking = /^-- breaking: \S/m.test(text);
  try {
    await runScript(
      db,
      `${LOCK}
      do $guard$ begin
        if exists (select from migrations where id = '${id}') then
          raise exception 'applied by another program' using errcode = '${ALREADY_APPLIED}';
        end if;
      end $guard$;
      ${text}
      ;
      insert into migrations (id, checksum, breaking)
      values ('${id}', '${checksum(migration)}', ${isBreaking});`,
    );
    return true;
  } catch (cause) {
    if (sqlState(cause) === ALREADY_APPLIED) return false;
    if (cause instanceof MaestroError) throw cause;
    throw new MaestroError(
      "internal",
      `Cannot migrate the database: migration "${id}" failed: ${describeError(cause)}`,
      { cause },
    );
  }
}

/** Returns undefined if the table is not there yet. */
async function readApplied(db: Db): Promise<AppliedRow[] | undefined> {
  try {
    return await query<AppliedRow>(
      db,
      `select id, checksum, breaking from migrations order by id collate "C"`,
      [],
    );
  } catch (cause) {
    if (sqlState(cause) === UNDEFINED_TABLE) return undefined;
    if (sqlState(cause) !== UNDEFINED_COLUMN) throw cause;
    throw new MaestroError(
      "conflict",
      'Cannot use the database: its table "migrations" belongs to another program; ' +
        "give this one a database of its own",
      { cause },
    );
  }
}

function checksum(migration: Migration): string {
  return new Bun.CryptoHasher("sha256").update(migration.text).digest("hex");
}

function refusal(verb: string, state: string): MaestroError {
  return new MaestroError("conflict", `Cannot ${verb} the database: ${state}`);
}
