/** A program that runs the embedded PostgreSQL in the folder it is given, until it is told to end or killed. */

import { connect } from "../../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { query } from "../../src/lib/db/query.ts";
import { createLogger } from "../../src/lib/log.ts";

/** What the program prints, as JSON: first where PostgreSQL is or why not, at the end what ended it. */
export interface Line {
  pid?: number;
  url: string;
  error?: string;
  signal?: string;
  rows?: unknown;
}

const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
const say = (line: Partial<Line>) => process.stdout.write(`${JSON.stringify(line)}\n`);

try {
  await using server = await startEmbeddedPostgres({
    stateDirectory: process.argv[2] ?? "",
    log,
    searchFrom: [],
  });
  const told = Promise.withResolvers<string>();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => told.resolve(name));
  say({ pid: server.pid, url: server.url });

  const signal = await told.promise;

  // PostgreSQL must still be there for whatever has to be written last.
  const db = connect(server.url, { maxConnections: 1, applicationName: "test" });
  const rows = await query(db, "select 'still here' as answer", []);
  await db.end();
  say({ signal, rows });
} catch (error) {
  say({ error: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
