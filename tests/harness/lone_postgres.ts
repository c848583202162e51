/** A PostgreSQL that one test has for itself, to stop, stall and start again. */

import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { chooseAccount } from "../../src/lib/db/embedded_account.ts";
import { findBinaries, reachableBinaries } from "../../src/lib/db/embedded_binaries.ts";
import { type PostgresProcess, startProcess } from "../../src/lib/db/embedded_process.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { type DatabaseAddress, formatDatabaseUrl } from "../../src/lib/db/address.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { migrate } from "../../src/lib/db/migrate.ts";
import { freePort } from "../../tools/ports.ts";
import { fastestFolder, testLogger } from "./postgres.ts";

export interface LonePostgres extends AsyncDisposable {
  /** By TCP, so that a proxy may stand before it. */
  address: DatabaseAddress;
  url: string;
  stateDirectory: string;
  /** Ends it as an operator does; what was committed stays. */
  stop(): Promise<void>;
  /** Starts it again, on the same port, with these settings beside its own. */
  start(settings?: Record<string, string>): Promise<void>;
  /** All of its processes stand still: nothing answers, nothing is closed. */
  stall(): void;
  resume(): void;
  /** Its place is taken by a standby that has all of it, and that writes nothing until it is promoted. */
  failOver(): Promise<void>;
  promote(): Promise<void>;
}

/** Starts one with the schema in it. */
export async function startLonePostgres(
  settings: Record<string, string> = {},
): Promise<LonePostgres> {
  const stateDirectory = mkdtempSync(join(fastestFolder(), "maestro-lone-"));
  const port = freePort();
  let running: EmbeddedPostgres | undefined;
  let standby: PostgresProcess | undefined;
  const start = async (more: Record<string, string> = {}) => {
    running = await startEmbeddedPostgres({
      stateDirectory,
      log: testLogger(),
      searchFrom: [],
      settings: {
        listen_addresses: "127.0.0.1",
        port: String(port),
        max_connections: "60",
        ...settings,
        ...more,
      },
    });
  };
  const signal = (name: "SIGSTOP" | "SIGCONT") => {
    if (running === undefined) return;
    // The parent first when it stops, so that it starts no others meanwhile.
    for (const pid of [running.pid, ...childrenOf(running.pid)]) {
      try {
        process.kill(pid, name);
      } catch {
        // It has just ended.
      }
    }
  };
  const stop = async () => {
    signal("SIGCONT");
    await running?.[Symbol.asyncDispose]();
    running = undefined;
  };
  await start();
  const address: DatabaseAddress = {
    host: "127.0.0.1",
    port,
    user: "maestro",
    password: "",
    database: "maestro",
    sslMode: "disable",
  };
  const admin = connect(address, { maxConnections: 1, applicationName: "test" });
  await migrate(admin, testLogger());
  await admin.end();
  return {
    address,
    url: formatDatabaseUrl(address),
    stateDirectory,
    start,
    stop,
    stall: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    async failOver() {
      await stop();
      const folder = join(stateDirectory, "standby");
      // What a base backup is of a server that has ended.
      cpSync(join(stateDirectory, "postgres"), folder, { recursive: true });
      writeFileSync(join(folder, "standby.signal"), "");
      standby = await startStandby(folder, port);
    },
    promote: async () => void await runAlone(address, "select pg_promote()"),
    async [Symbol.asyncDispose]() {
      standby?.signal("INT");
      await standby?.exited;
      await stop();
      rmSync(stateDirectory, { recursive: true, force: true });
    },
  };
}

async function startStandby(folder: string, port: number): Promise<PostgresProcess> {
  const found = findBinaries({ searchFrom: [] });
  const account = chooseAccount(join(dirname(folder), "postgres"));
  for (
    const name of ["", ...account === undefined ? [] : readdirSync(folder, { recursive: true })]
  ) {
    if (account !== undefined) chownSync(join(folder, String(name)), account.uid, account.gid);
  }
  chmodSync(folder, 0o700);
  const binaries = await reachableBinaries(found, account);
  const log = openSync(join(dirname(folder), "standby.log"), "a");
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    max_connections: "60",
    unix_socket_directories: "",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const command = [join(binaries, "bin/postgres"), "-D", folder, ...flags];
  const started = await startProcess(command, { account, logFd: log });
  closeSync(log);
  return started;
}

async function runAlone(address: DatabaseAddress, statement: string): Promise<void> {
  const admin = connect(address, { maxConnections: 1, applicationName: "test" });
  await admin.unsafe(statement);
  await admin.end();
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
    } catch {
      // It has ended.
      return false;
    }
  });
}
