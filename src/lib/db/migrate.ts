/** The schema of this version of the program: brings a database to it, and checks for it. */

import { MIGRATIONS } from "../../gen/migrations.ts";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { applyMigrations, checkMigrations } from "./apply_migrations.ts";
import type { Db } from "./connect.ts";
import { query } from "./query.ts";

/** The oldest with `pg_column_compression`. */
const POSTGRES_MIN = 14;

/** Applies the migrations that the database lacks, and returns their ids. */
export async function migrate(db: Db, log: Logger): Promise<string[]> {
  await checkServer(db);
  return await applyMigrations(db, log, MIGRATIONS);
}

/** Throws a sentence that says what to do, unless this program can run on the database's schema. */
export async function checkSchema(db: Db): Promise<void> {
  await checkServer(db);
  await checkMigrations(db, MIGRATIONS);
}

/** Throws for a PostgreSQL whose major version is below `min`. */
export async function checkServer(db: Db, min = POSTGRES_MIN): Promise<void> {
  const [row] = await query<{ number: number; version: string }>(
    db,
    "select current_setting('server_version_num')::int / 10000 as number, " +
      "current_setting('server_version') as version",
    [],
  );
  if (row === undefined || row.number >= min) return;
  throw new MaestroError(
    "conflict",
    `Cannot use the database: it is PostgreSQL ${row.version}, and this program needs ${min} or newer`,
  );
}
