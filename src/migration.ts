/** `maestro migration`: brings the database's schema up to date and exits. */

import { parseMigrationConfig } from "./lib/config.ts";
import { connect } from "./lib/db/connect.ts";
import { defaultStateDirectory } from "./lib/db/embedded.ts";
import { migrate } from "./lib/db/migrate.ts";
import { chooseAddress, openDatabase } from "./lib/db/open.ts";
import { createLogger } from "./lib/log.ts";

/** Migrates the database that the flags name, or else the embedded one. */
export async function runMigration(args: readonly string[]): Promise<void> {
  const config = parseMigrationConfig(args, Bun.env);
  const log = createLogger({
    level: config["log-level"],
    isTerminal: process.stderr.isTTY,
    write: (line) => void process.stderr.write(line),
  });
  const address = chooseAddress(config);
  const applied: string[] = [];
  if (address === undefined) {
    // Opening the embedded one migrates it.
    await using _ = await openDatabase({
      address,
      maxConnections: config["db-max-open-connections"],
      stateDirectory: config["state-directory"] ??
        defaultStateDirectory(Bun.env, process.getuid?.()),
      postgresDirectory: config["postgres-directory"],
      executable: process.execPath,
      currentDirectory: process.cwd(),
    }, log);
  } else {
    const db = connect(address, { maxConnections: 2, applicationName: "maestro-migration" });
    try {
      applied.push(...await migrate(db, log));
    } finally {
      await db.end({ timeout: 5 });
    }
  }
  log.info("the schema is up to date", { applied: applied.length });
}
