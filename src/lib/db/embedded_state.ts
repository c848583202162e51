/** The state folder of the embedded PostgreSQL: who owns it, who uses it, and what an earlier server left in it. */

import { Database, SQLiteError } from "bun:sqlite";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { describeError, MaestroError } from "../errors.ts";
import { type Account, firstClosed } from "./embedded_account.ts";

/** Where things are in the state folder. */
export interface State {
  directory: string;
  dataDirectory: string;
  socketDirectory: string;
  logFile: string;
  /** PostgreSQL's own: the process that uses the cluster, and whether it is ready. */
  pidFile: string;
  account: Account | undefined;
}

/** Linux takes 107 bytes for the path of a socket, macOS 103. */
const SOCKET_PATH_BYTES_MAX = 100;
const SOCKET_NAME = "/.s.PGSQL.5432";
const OLD_SERVER_TIMEOUT_MS = 10_000;
/** A process that was killed holds its lock until the kernel has put it away. */
const LOCK_TIMEOUT_MS = 1_000;
const POLL_MS = 20;

/** Makes the folders, and checks that the account can reach them. */
export function openState(directory: string, account: Account | undefined): State & Disposable {
  try {
    mkdirSync(directory, { recursive: true, mode: account ? 0o711 : 0o700 });
  } catch (cause) {
    throw refusal(directory, `the folder cannot be made: ${describeError(cause)}`, cause);
  }
  const real = realpathSync(directory);
  // Others may pass through, not look: what must stay secret is closed by itself.
  if (account && statSync(real).uid === process.geteuid?.()) {
    chmodSync(real, statSync(real).mode | 0o011);
  }
  const closed = account && firstClosed(real, account);
  if (closed) {
    throw refusal(
      directory,
      `PostgreSQL runs as user ${account.uid} here, who cannot enter "${closed}"; ` +
        `choose a folder elsewhere with --state-directory, or run "chmod o+x ${closed}"`,
    );
  }
  const isLong = Buffer.byteLength(join(real, "run") + SOCKET_NAME) > SOCKET_PATH_BYTES_MAX;
  const socketDirectory = isLong ? mkdtempSync("/tmp/maestro-") : join(real, "run");
  mkdirSync(socketDirectory, { recursive: true, mode: 0o700 });
  own(socketDirectory, account);
  return {
    directory: real,
    dataDirectory: join(real, "postgres"),
    socketDirectory,
    logFile: join(real, "postgres.log"),
    pidFile: join(real, "postgres/postmaster.pid"),
    account,
    [Symbol.dispose]: () => {
      if (isLong) rmSync(socketDirectory, { recursive: true, force: true });
    },
  };
}

/**
 * Takes the state folder for this process.
 *
 * SQLite is here for its portable file lock alone: the kernel drops it when we end, however we end, so no
 * lock is ever stale.
 */
export async function lockState(state: State): Promise<Disposable> {
  const owner = join(state.directory, "server.pid");
  const path = join(state.directory, "lock");
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    const lock = new Database(path);
    try {
      lock.run("pragma locking_mode = exclusive");
      lock.run("begin exclusive");
      writeFileSync(owner, `${process.pid}\n`);
      for (const file of [path, owner]) give(file, state.account);
      return {
        [Symbol.dispose]: () => {
          rmSync(owner, { force: true });
          lock.close();
        },
      };
    } catch (cause) {
      lock.close();
      const isTaken = cause instanceof SQLiteError && cause.code === "SQLITE_BUSY";
      if (!isTaken) throw refusal(state.directory, describeError(cause), cause);
      if (performance.now() > deadline) {
        const pid = existsSync(owner) ? readFileSync(owner, "utf8").trim() : "unknown";
        throw refusal(state.directory, `another server uses it, process ${pid}`, cause);
      }
    }
    await delay(POLL_MS);
  }
}

/**
 * Waits until the PostgreSQL of an earlier server has ended, which it does by itself once that server was killed.
 *
 * PostgreSQL trusts a process id in its file as long as any process has that id. In a container the ids repeat,
 * so we look whether it is a PostgreSQL at all, and remove the file if not.
 */
export async function waitForOldServer(state: State): Promise<void> {
  const deadline = performance.now() + OLD_SERVER_TIMEOUT_MS;
  while (existsSync(state.pidFile)) {
    const pid = Number(readFileSync(state.pidFile, "utf8").split("\n")[0]);
    if (!await isPostgres(pid, state.dataDirectory)) {
      rmSync(state.pidFile, { force: true });
      return;
    }
    if (performance.now() > deadline) {
      throw refusal(state.directory, `an earlier PostgreSQL, process ${pid}, does not end`);
    }
    await delay(POLL_MS);
  }
}

/** Removes clusters whose making was cut short, and returns the folder for a new one. */
export function removeInitialising(state: State): string {
  for (const name of readdirSync(state.directory)) {
    if (!name.startsWith("postgres.new-")) continue;
    rmSync(join(state.directory, name), { recursive: true, force: true });
  }
  const partial = mkdtempSync(join(state.directory, "postgres.new-"));
  own(partial, state.account);
  return partial;
}

async function isPostgres(pid: number, dataDirectory: string): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 1) return false;
  if (existsSync("/proc/self/cmdline")) {
    const file = `/proc/${pid}/cmdline`;
    try {
      return readFileSync(file, "utf8").split("\0").includes(dataDirectory);
    } catch {
      // It ended.
      return false;
    }
  }
  const listed = Bun.spawn(["/bin/ps", "-o", "command=", "-p", String(pid)], { stderr: "ignore" });
  return (await listed.stdout.text()).includes(dataDirectory);
}

function own(path: string, account: Account | undefined): void {
  chmodSync(path, 0o700);
  give(path, account);
}

/** What root makes belongs to PostgreSQL's account, so that its owner can go on without root. */
export function give(path: string, account: Account | undefined): void {
  if (account) chownSync(path, account.uid, account.gid);
}

function refusal(directory: string, state: string, cause?: unknown): MaestroError {
  return new MaestroError("unavailable", `Cannot use the state folder "${directory}": ${state}`, {
    cause,
  });
}
