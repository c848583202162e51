/** A real PostgreSQL for the run, and a fresh migrated database for whoever asks. */

import { mkdtempSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { type DatabaseAddress, formatDatabaseUrl } from "../../src/lib/db/address.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { migrate } from "../../src/lib/db/migrate.ts";
import { createLogger, type Logger } from "../../src/lib/log.ts";

export interface TestDatabase extends AsyncDisposable {
  db: Db;
  url: string;
  address: DatabaseAddress;
}

const MEMORY_BYTES_MIN = 2 * 1024 ** 3;
const TEMPLATE = "maestro_template";
/** Nothing has to survive a power cut here. */
const SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "64MB",
  max_connections: "200",
  autovacuum: "off",
};

let started: Promise<EmbeddedPostgres> | undefined;
let created = 0;
/** One at a time: PostgreSQL copies a template only while nobody else does. */
let turn: Promise<void> = Promise.resolve();

/** The run's server, started by the first caller. It ends with the test process, whatever happens. */
function startPostgres(): Promise<EmbeddedPostgres> {
  return started ??= start();
}

/** A database of its own with the schema in it; `isEmpty` leaves the schema out. */
export async function createDatabase(
  options: { isEmpty?: boolean; maxConnections?: number } = {},
): Promise<TestDatabase> {
  const server = await startPostgres();
  const name = `test_${++created}`;
  const template = options.isEmpty ? "template0" : TEMPLATE;
  await runAlone(server, `create database ${name} template ${template} strategy file_copy`);
  const address = { ...server.address, database: name };
  const db = connect(address, {
    maxConnections: options.maxConnections ?? 4,
    applicationName: "test",
  });
  return {
    db,
    address,
    url: formatDatabaseUrl(address),
    [Symbol.asyncDispose]: async () => {
      await db.end({ timeout: 1 });
      await runAlone(server, `drop database ${name} with (force)`);
    },
  };
}

/** A logger that keeps quiet, unless the test passes something that gets the lines. */
export function testLogger(write: (line: string) => void = () => {}): Logger {
  return createLogger({ level: "debug", isTerminal: false, write });
}

async function start(): Promise<EmbeddedPostgres> {
  const folder = mkdtempSync(join(fastestFolder(), "maestro-test-"));
  const server = await startEmbeddedPostgres({
    stateDirectory: folder,
    log: testLogger(),
    searchFrom: [],
    settings: SETTINGS,
  });
  removeAfterwards(folder, server.pid);
  const admin = connect(server.address, { maxConnections: 1, applicationName: "test" });
  await admin.unsafe(`create database ${TEMPLATE}`);
  await admin.end();
  const template = connect(
    { ...server.address, database: TEMPLATE },
    { maxConnections: 1, applicationName: "test" },
  );
  await migrate(template, testLogger());
  await template.end();
  return server;
}

function runAlone(server: EmbeddedPostgres, statement: string): Promise<void> {
  const before = turn;
  const next = (async () => {
    await before;
    const admin = connect(server.address, { maxConnections: 1, applicationName: "test" });
    try {
      await admin.unsafe(statement);
    } finally {
      await admin.end();
    }
  })();
  // The caller gets the failure; whoever is next only waits.
  turn = next.catch(() => {});
  return next;
}

/**
 * Removes the folder once we and the server are gone. `bun test` tells nobody that it ends, so a shell
 * waits for the end of a pipe that the kernel closes.
 */
function removeAfterwards(folder: string, pid: number): void {
  const script = 'cat; while kill -0 "$1" 2>&-; do sleep 0.02; done; rm -rf "$0"';
  Bun.spawn(["/bin/sh", "-c", script, folder, String(pid)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    detached: true,
  }).unref();
}

/** In memory where there is room: a fresh database is hundreds of files, 15 ms there and 250 on a disk. */
export function fastestFolder(): string {
  const memory = "/dev/shm";
  try {
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize > MEMORY_BYTES_MIN ? memory : tmpdir();
  } catch {
    // Only Linux has it.
    return tmpdir();
  }
}
