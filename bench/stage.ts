/** What a bench runs on: PostgreSQL, the server and load generators, each a process of its own. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Db } from "../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { migrate } from "../src/lib/db/migrate.ts";
import { createLogger } from "../src/lib/log.ts";
import type { Outcome, Task } from "./road_load.ts";

export interface Stage extends AsyncDisposable {
  db: Db;
  /** The process of the server. */
  pid: number;
  rest: string;
  /** The ports of the gRPC doors. */
  sources: number;
  agents: number;
  /** What the server and PostgreSQL have used so far, in milliseconds of CPU time. */
  cpuMs(): { server: number; postgres: number };
  /** Starts a process that takes tasks. */
  startLoad(): Promise<Load>;
}

export interface Load extends AsyncDisposable {
  /** Resolves when the task is done. Throws if any of its calls failed. */
  run(task: Task): Promise<Outcome>;
}

const ROOT = join(import.meta.dir, "..");
const DOORS = [
  "http-server",
  "grpc-server",
  "grpc-broker",
  "metrics-server",
  "health-check-server",
];
/** When we end, the kernel closes the pipe, and this shell ends the server. */
const GUARD = 'cat; kill -TERM "$0" 2>/dev/null';
const CLOCK_TICK_MS = 10;

/** The machine, in a few words. */
export function describeMachine(): string {
  const all = cpus();
  return `${all.length} x ${all[0]?.model.trim() ?? "?"}, ${process.platform}, Bun ${Bun.version}`;
}

/**
 * Starts PostgreSQL with its default durability on a disk, and the server from source.
 *
 * `runtimeFlags` are Bun's own, such as `--cpu-prof`.
 */
export async function openStage(
  options: {
    directory: string | undefined;
    runtimeFlags: string[];
    /** The server's own. */
    serverFlags?: string[];
    /** PostgreSQL's own, beside those of the embedded one. */
    settings?: Record<string, string>;
  },
): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
  const directory = mkdtempSync(join(options.directory ?? tmpdir(), "maestro-bench-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = stack.use(
    await startEmbeddedPostgres({
      stateDirectory: directory,
      log,
      searchFrom: [ROOT],
      settings: options.settings ?? {},
    }),
  );
  const db = stack.adopt(
    connect(postgres.address, { maxConnections: 2, applicationName: "bench" }),
    (db) => db.end({ timeout: 5 }),
  );
  await migrate(db, log);
  const server = stack.use(await startServer(postgres.url, options));
  const owned = stack.move();
  return {
    ...server,
    db,
    cpuMs: () => ({ server: cpuMs(server.pid), postgres: familyCpuMs(postgres.pid) }),
    startLoad,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startServer(
  databaseUrl: string,
  { runtimeFlags, serverFlags = [] }: { runtimeFlags: string[]; serverFlags?: string[] },
) {
  const child = Bun.spawn([
    ...[process.execPath, ...runtimeFlags, join(ROOT, "src/maestro.ts"), "server"],
    ...["--server-hostname", "127.0.0.1", "--database-url", databaseUrl],
    ...["--enable-jwt=false", "--grpc-authn-type=mock"],
    ...DOORS.flatMap((door) => [`--${door}-bindport`, "0"]),
    ...serverFlags,
  ], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  Bun.spawn(["/bin/sh", "-c", GUARD, String(child.pid)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    detached: true,
  }).unref();
  const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>();
  let written = "";
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      written += decoder.decode(chunk, { stream: true });
      const line = written.split("\n").slice(0, -1).find((line) => line.includes('"serving"'));
      if (line !== undefined) resolve(JSON.parse(line));
    }
  };
  const ended = read().then(() => {
    throw new Error(`The server ended; it says\n${written}`);
  });
  // Whoever waits for the start hears of it; later the calls fail.
  ended.catch(() => {});
  const serving = await Promise.race([promise, ended]);
  return {
    pid: child.pid,
    rest: String(serving["rest"]),
    sources: Number(serving["sources"]),
    agents: Number(serving["agents"]),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
      if (written.includes('"level":"error"')) process.stderr.write(written);
    },
  };
}

async function startLoad(): Promise<Load> {
  let answer = Promise.withResolvers<Outcome>();
  const ready = Promise.withResolvers<void>();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "road_load.ts")], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    ipc: (message: Outcome | "ready") => {
      if (message === "ready") ready.resolve();
      else answer.resolve(message);
    },
    onExit: () => answer.reject(new Error("The load generator ended")),
  });
  await ready.promise;
  return {
    run: async (task) => {
      answer = Promise.withResolvers();
      child.send(task);
      const outcome = await answer.promise;
      if (outcome.failure !== undefined) throw new Error(`${task.task}: ${outcome.failure}`);
      return outcome;
    },
    async [Symbol.asyncDispose]() {
      // Nobody waits for an answer any more.
      answer.promise.catch(() => {});
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** PostgreSQL is a process for each connection; one that has ended counts for its parent. */
function familyCpuMs(parent: number): number {
  let total = cpuMs(parent, "with ended children");
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    if (fields !== undefined && Number(fields[1]) === parent) total += cpuMs(Number(name));
  }
  return total;
}

/** The CPU time that a process has used so far. */
export function cpuMs(pid: number, which: "alone" | "with ended children" = "alone"): number {
  const fields = statFields(pid) ?? [];
  const ticks = fields.slice(11, which === "alone" ? 13 : 15);
  return ticks.reduce((sum, text) => sum + Number(text), 0) * CLOCK_TICK_MS;
}

/** The fields of /proc/<pid>/stat from the third on; undefined if the process has ended. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
