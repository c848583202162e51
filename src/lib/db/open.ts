/** Finds the database that the settings name, or starts the embedded one. */

import { dirname } from "node:path";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { addressFromFiles, type DatabaseAddress } from "./address.ts";
import { connect, type Db } from "./connect.ts";
import { startEmbeddedPostgres } from "./embedded.ts";
import { checkSchema, migrate } from "./migrate.ts";
import { startWatch } from "./watch.ts";

export interface DatabaseChoice {
  /** Undefined for the embedded PostgreSQL. */
  address: string | DatabaseAddress | undefined;
  maxConnections: number;
  stateDirectory: string;
  postgresDirectory: string | undefined;
  /** The running program, next to which a compiled one looks for PostgreSQL. */
  executable: string;
  currentDirectory: string;
}

export interface OpenDatabase extends AsyncDisposable {
  db: Db;
  /** Resolves with the reason if the embedded PostgreSQL ends by itself; never for another. */
  lost: Promise<MaestroError>;
}

/**
 * For the statements of a server. The longest are those of a large resync, seconds on a machine that is not
 * overloaded. Whoever waits for somebody else's lock holds up the others of its batch, so not for long.
 */
const LIMITS = {
  statementTimeoutMs: 15_000,
  lockTimeoutMs: 500,
  silentMsMax: 20_000,
  isOneByOne: true,
};

/** The settings that say where PostgreSQL is. */
export interface AddressSettings {
  "database-url": string | undefined;
  "db-host-file": string | undefined;
  "db-port-file": string;
  "db-user-file": string;
  "db-password-file": string;
  "db-name-file": string;
  "db-rootcert": string;
  "db-sslmode": string;
}

/** The address that the settings give, or undefined for the embedded PostgreSQL. */
export function chooseAddress(settings: AddressSettings): string | DatabaseAddress | undefined {
  if (settings["database-url"] !== undefined) return settings["database-url"];
  const host = settings["db-host-file"];
  if (host === undefined) return undefined;
  const files = {
    host,
    port: settings["db-port-file"],
    user: settings["db-user-file"],
    password: settings["db-password-file"],
    name: settings["db-name-file"],
    rootCertificate: settings["db-rootcert"],
  };
  return addressFromFiles(files, settings["db-sslmode"]);
}

/**
 * Opens the database. The embedded one is migrated; of another the schema must be current, since a
 * server that migrates by itself would surprise those that still run beside it.
 */
export async function openDatabase(choice: DatabaseChoice, log: Logger): Promise<OpenDatabase> {
  await using stack = new AsyncDisposableStack();
  let address = choice.address;
  let lost: Promise<MaestroError> = new Promise(() => {});
  if (address === undefined) {
    const embedded = stack.use(
      await startEmbeddedPostgres({
        stateDirectory: choice.stateDirectory,
        log,
        searchFrom: [dirname(choice.executable), choice.currentDirectory, import.meta.dir],
        ...(choice.postgresDirectory === undefined
          ? {}
          : { postgresDirectory: choice.postgresDirectory }),
      }),
    );
    address = embedded.address;
    lost = embedded.lost;
  }
  if (choice.address === undefined) await migrateOurs(address, log);
  const db = stack.adopt(
    connect(address, {
      maxConnections: choice.maxConnections,
      applicationName: "maestro",
      ...LIMITS,
    }),
    (db) => db.end({ timeout: 5 }),
  );
  if (choice.address !== undefined) await checkSchema(db);
  db.watch = stack.use(startWatch(db, log));
  const owned = stack.move();
  return { db, lost, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A migration may take its time, so it has connections of its own. */
async function migrateOurs(address: string | DatabaseAddress, log: Logger): Promise<void> {
  const db = connect(address, { maxConnections: 1, applicationName: "maestro-migration" });
  try {
    await migrate(db, log);
  } finally {
    await db.end({ timeout: 5 });
  }
}
