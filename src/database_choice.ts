/** What every command that needs the database makes of its settings and of the running process. */

import type { DatabaseConfig } from "./lib/config.ts";
import { defaultStateDirectory } from "./lib/db/embedded.ts";
import { chooseAddress, type DatabaseChoice } from "./lib/db/open.ts";

/** The database that the settings name; without an address, the embedded one and where it lives. */
export function chooseDatabase(config: DatabaseConfig): DatabaseChoice {
  const address = chooseAddress(config);
  const given = config["state-directory"];
  const stateDirectory = given ??
    (address === undefined ? defaultStateDirectory(Bun.env, process.getuid?.()) : "");
  return {
    address,
    maxConnections: config["db-max-open-connections"],
    stateDirectory,
    postgresDirectory: config["postgres-directory"],
    executable: process.execPath,
    currentDirectory: process.cwd(),
  };
}
