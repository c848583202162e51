/** `maestro migration`: brings the database's schema up to date and exits. */

import { chooseDatabase } from "./database_choice.ts";
import { parseMigrationConfig } from "./lib/config.ts";
import { connect } from "./lib/db/connect.ts";
import { migrate } from "./lib/db/migrate.ts";
import { openDatabase } from "./lib/db/open.ts";
import { openLog } from "./program.ts";

/** Migrates the database that the flags name, or else the embedded one. */
export async function runMigration(args: readonly string[]): Promise<void> {
  const config = parseMigrationConfig(args, Bun.env);
  const log = openLog(config["log-level"]);
  const choice = chooseDatabase(config);
  if (choice.address === undefined) {
    // Opening the embedded one migrates it.
    await using _ = await openDatabase(choice, log);
  } else {
    const db = connect(choice.address, { maxConnections: 2, applicationName: "maestro-migration" });
    try {
      await migrate(db, log);
    } finally {
      await db.end({ timeout: 5 });
    }
  }
  log.info("the schema is up to date");
}
