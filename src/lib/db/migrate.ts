/** The schema of this version of the program: brings a database to it, and checks for it. */

import { MIGRATIONS } from "../../gen/migrations.ts";
import type { Logger } from "../log.ts";
import { applyMigrations, checkMigrations } from "./apply_migrations.ts";
import type { Db } from "./connect.ts";

/** Applies the migrations that the database lacks, and returns their ids. */
export function migrate(db: Db, log: Logger): Promise<string[]> {
  return applyMigrations(db, log, MIGRATIONS);
}

/** Throws a sentence that says what to do, unless this program can run on the database's schema. */
export function checkSchema(db: Db): Promise<void> {
  return checkMigrations(db, MIGRATIONS);
}
