/**
 * A real PostgreSQL of our own, for those who bring none.
 *
 * It lives in the state folder: the cluster in `postgres`, its socket in `run`, its log in `postgres.log`. There is
 * no TCP port. One server uses a state folder at a time; the kernel's lock on `lock` says which.
 */

import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type DatabaseAddress, formatDatabaseUrl } from "./address.ts";
import { type Account, chooseAccount } from "./embedded_account.ts";
import { findBinaries, type FindOptions, reachableBinaries } from "./embedded_binaries.ts";
import { type PostgresProcess, startProcess } from "./embedded_process.ts";
import {
  give,
  lockState,
  openState,
  removeInitialising,
  type State,
  waitForOldServer,
} from "./embedded_state.ts";

export interface EmbeddedOptions extends FindOptions {
  stateDirectory: string;
  log: Logger;
  /** Settings of PostgreSQL that replace or add to ours. */
  settings?: Record<string, string>;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  address: DatabaseAddress;
  url: string;
  pid: number;
  /** Resolves with the reason if PostgreSQL ends without having been told to. */
  lost: Promise<MaestroError>;
}

const USER = "maestro";
const DATABASE = "maestro";
/** Recovery after a power cut replays at most `max_wal_size` of log, which slow disks take a while for. */
const START_TIMEOUT_MS = 300_000;
const START_POLL_MS = 5;
/** A fast shutdown writes what is dirty in 128 MB of buffers. */
const STOP_TIMEOUT_MS = 20_000;
const KILL_TIMEOUT_MS = 5_000;
const LOG_BYTES_MAX = 8 * 1024 * 1024;
const LOG_LINES_QUOTED = 6;

/** Durability is PostgreSQL's default: a commit that was answered survives a power cut. */
const SETTINGS: Record<string, string> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  shared_buffers: "128MB",
  max_connections: "100",
  // The word that PostgreSQL 14 knows as well: pglz.
  wal_compression: "on",
  logging_collector: "off",
};

/** Where the state folder is, unless the user says. */
export function defaultStateDirectory(
  env: Record<string, string | undefined>,
  uid: number | undefined,
): string {
  if (uid === 0) return "/var/lib/maestro";
  if (env.XDG_STATE_HOME) return join(env.XDG_STATE_HOME, "maestro");
  if (env.HOME) return join(env.HOME, ".local/state/maestro");
  throw new MaestroError(
    "invalid_argument",
    "Cannot choose a state folder: neither HOME nor XDG_STATE_HOME is set; give --state-directory",
  );
}

/** Starts PostgreSQL, after making its cluster if there is none; it ends when disposed of, or with us. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  await using stack = new AsyncDisposableStack();
  const found = findBinaries(options);
  const account = chooseAccount(join(options.stateDirectory, "postgres"));
  const state = stack.use(openState(options.stateDirectory, account));
  stack.use(await lockState(state));
  const binaries = await reachableBinaries(found, account);
  const logFd = openLog(state);
  stack.defer(() => closeSync(logFd));

  await waitForOldServer(state);
  if (!existsSync(state.dataDirectory)) {
    options.log.info("preparing PostgreSQL for the first start", { folder: state.dataDirectory });
    await initialise(binaries, state, { account, logFd });
  }
  const server = await start(binaries, state, options.settings ?? {}, { account, logFd });
  let isStopping = false;
  stack.defer(() => {
    isStopping = true;
    return stop(server, options.log);
  });

  const address: DatabaseAddress = {
    host: state.socketDirectory,
    port: 5432,
    user: USER,
    password: "",
    database: DATABASE,
    sslMode: "disable",
  };
  const { promise: lost, resolve } = Promise.withResolvers<MaestroError>();
  // `exited` never rejects.
  void server.exited.then(() => {
    if (!isStopping) resolve(failure(state, "it ended by itself", 0));
  });
  options.log.info("started PostgreSQL", { folder: state.dataDirectory, pid: server.pid });
  const owned = stack.move();
  return {
    address,
    url: formatDatabaseUrl(address),
    pid: server.pid,
    lost,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Surroundings {
  account: Account | undefined;
  logFd: number;
}

async function initialise(binaries: string, state: State, around: Surroundings): Promise<void> {
  // Under another name first, so that a cluster that was cut short is never used.
  const partial = removeInitialising(state);
  const logFrom = fstatSync(around.logFd).size;
  const steps = [
    [
      join(binaries, "bin/initdb"),
      `--pgdata=${partial}`,
      `--username=${USER}`,
      "--encoding=UTF8",
      "--locale=C",
      // Who can enter the socket's folder owns the files as well; a password would protect nothing.
      "--auth=trust",
    ],
    [
      "/bin/sh",
      "-c",
      'echo "create database $3" | "$1" --single -D "$2" -c log_checkpoints=off postgres',
      "sh",
      join(binaries, "bin/postgres"),
      partial,
      DATABASE,
    ],
  ];
  for (const step of steps) {
    const run = await startProcess(step, around);
    const code = await run.exited;
    if (code !== 0) throw failure(state, `its cluster could not be made (exit ${code})`, logFrom);
  }
  renameSync(partial, state.dataDirectory);
}

async function start(
  binaries: string,
  state: State,
  settings: Record<string, string>,
  around: Surroundings,
): Promise<PostgresProcess> {
  const logFrom = fstatSync(around.logFd).size;
  const all = { ...SETTINGS, ...settings, unix_socket_directories: state.socketDirectory };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const command = [join(binaries, "bin/postgres"), "-D", state.dataDirectory, ...flags];
  const server = await startProcess(command, around);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!isReady(state, server.pid)) {
    if (server.hasExited()) throw failure(state, "it did not start", logFrom);
    if (performance.now() > deadline) {
      server.signal("INT");
      throw failure(state, `it was not ready after ${START_TIMEOUT_MS / 1000} s`, logFrom);
    }
    await delay(START_POLL_MS);
  }
  return server;
}

/** The file may still be that of an earlier server, so its first line must name this one. */
function isReady(state: State, pid: number): boolean {
  try {
    const lines = readFileSync(state.pidFile, "utf8").split("\n");
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  } catch {
    // Not written yet.
    return false;
  }
}

async function stop(server: PostgresProcess, log: Logger): Promise<void> {
  for (
    const [signal, timeoutMs] of [["INT", STOP_TIMEOUT_MS], ["QUIT", KILL_TIMEOUT_MS]] as const
  ) {
    if (server.hasExited()) return;
    server.signal(signal);
    const timer = new AbortController();
    // A rejection is the timer that is no longer needed.
    const late = delay(timeoutMs, "late", { signal: timer.signal }).catch(() => "late");
    const outcome = await Promise.race([server.exited, late]);
    timer.abort();
    if (outcome !== "late") return;
    log.warn("PostgreSQL does not stop", { pid: server.pid, signal, after_ms: timeoutMs });
  }
  server.signal("KILL");
  await server.exited;
}

/** One file, and the one before it once it has grown long. */
function openLog(state: State): number {
  const size = statSync(state.logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(state.logFile, `${state.logFile}.old`);
  const fd = openSync(state.logFile, "a", 0o600);
  give(state.logFile, state.account);
  return fd;
}

function failure(state: State, what: string, logFrom: number): MaestroError {
  // Whoever removed the state folder under PostgreSQL removed its log as well.
  const log = existsSync(state.logFile) ? readFileSync(state.logFile).subarray(logFrom) : "";
  const lines = log.toString().trim().split("\n");
  const quoted = lines.slice(-LOG_LINES_QUOTED).join("\n  ");
  return new MaestroError(
    "unavailable",
    `Cannot run PostgreSQL in "${state.directory}": ${what}; the end of ${state.logFile} is\n  ${quoted}`,
  );
}
