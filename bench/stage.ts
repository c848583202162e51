/** What a bench runs on: PostgreSQL, the server and load generators, each a process of its own. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseAddress } from "../src/lib/db/address.ts";
import { connect, type Db } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { migrate } from "../src/lib/db/migrate.ts";
import { createLogger } from "../src/lib/log.ts";
import { cpuMs, familyCpuMs } from "../tests/harness/cpu.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { brokerFile } from "../tests/mqtt/hub.ts";
import { rounded } from "./figure.ts";
import { profileFlags, profileSettings, startProfile, writeStatements } from "./profile.ts";
import { resourceId, type Road, SOURCE, specText } from "./load/events.ts";
import type { Task } from "./load/program.ts";
import type { Outcome } from "./load/summary.ts";

export interface Stage extends AsyncDisposable {
  db: Db;
  address: DatabaseAddress;
  /** The process of the server, and the first one of PostgreSQL. */
  pid: number;
  postgresPid: number;
  rest: string;
  /** The ports of the gRPC doors. */
  sources: number;
  agents: number;
  /** Where agents are: the door for agents, or the MQTT broker. */
  road: Road;
  roadPort: number;
  /** What explains a latency: PostgreSQL's version, and how the broker is configured. */
  conditions: Record<string, string>;
  /** What the server, PostgreSQL and the MQTT broker, if there is one, have used so far, in milliseconds of CPU time. */
  cpuMs(): { server: number; postgres: number; broker?: number };
  /** Starts a process that takes tasks. */
  startLoad(): Promise<Load>;
}

export interface Load extends AsyncDisposable {
  pid: number;
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
const CONSUMER_COUNT = 10;

/** Starts PostgreSQL with its default durability on a disk, and the server from source. */
export async function openStage(
  options: {
    /** Where PostgreSQL's data is; the folder for temporary files, unless it is said. */
    directory?: string | undefined;
    /** A folder for what shows where the time goes; undefined for nothing. */
    profile?: string | undefined;
    /** PostgreSQL's own, beside those of the embedded one. */
    settings?: Record<string, string>;
    /** gRPC, unless it is said. */
    road?: Road | undefined;
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
      settings: { ...options.settings, ...profileSettings(options.profile) },
    }),
  );
  const db = stack.adopt(
    connect(postgres.address, { maxConnections: 2, applicationName: "bench" }),
    (db) => db.end({ timeout: 5 }),
  );
  await migrate(db, log);
  await startProfile(db, options.profile);
  stack.defer(() => writeStatements(db, options.profile));
  const broker = options.road === "mqtt" ? stack.use(await startMosquitto()) : undefined;
  const runtimeFlags = profileFlags(options.profile);
  const serverFlags = mqttFlags(directory, broker?.port);
  const server = stack.use(await startServer(postgres.url, { runtimeFlags, serverFlags }));
  const [version] = await query<{ text: string }>(db, "select version() as text", []);
  const owned = stack.move();
  return {
    ...server,
    db,
    address: postgres.address,
    postgresPid: postgres.pid,
    road: broker === undefined ? "grpc" : "mqtt",
    roadPort: broker?.port ?? server.agents,
    conditions: {
      postgres: version?.text.split(" ").slice(0, 2).join(" ") ?? "?",
      durability: "default (fsync, synchronous_commit)",
      ...(broker === undefined ? {} : { broker: "mosquitto, defaults and set_tcp_nodelay true" }),
    },
    cpuMs: () => ({
      server: cpuMs(server.pid),
      postgres: familyCpuMs(postgres.pid),
      ...(broker === undefined ? {} : { broker: broker.cpuMs() }),
    }),
    startLoad,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function mqttFlags(directory: string, port: number | undefined): string[] {
  if (port === undefined) return [];
  const file = join(directory, "broker.yaml");
  writeFileSync(file, brokerFile(port));
  return [
    ...["--message-broker-type=mqtt", "--message-broker-config-file", file],
    ...["--client-id", "bench"],
  ];
}

async function startServer(
  databaseUrl: string,
  { runtimeFlags, serverFlags }: { runtimeFlags: string[]; serverFlags: string[] },
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

/** Starts a load generator of its own, for a bench that needs no stage. */
export async function startLoad(): Promise<Load> {
  let answer = Promise.withResolvers<Outcome>();
  // Until there is a task, nobody waits for an answer.
  answer.promise.catch(() => {});
  const ready = Promise.withResolvers<void>();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "load", "program.ts")], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    ipc: (message: Outcome | "ready") => {
      if (message === "ready") ready.resolve();
      else answer.resolve(message);
    },
    onExit() {
      const error = new Error("The load generator ended");
      ready.reject(error);
      answer.reject(error);
    },
  });
  await ready.promise;
  return {
    pid: child.pid,
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

type Cpu = ReturnType<Stage["cpuMs"]>;

/** Has a load generator do a task, and sums up what it took. */
export async function measure(
  stage: Stage,
  load: Load,
  task: Task,
): Promise<{ outcome: Outcome; cost: Cost }> {
  const before = stage.cpuMs();
  const outcome = await load.run(task);
  return { outcome, cost: costOf(stage, before, outcome) };
}

/** What a figure says of its cost. */
interface Cost {
  n: number;
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
  server_cpu_ms: number;
  postgres_cpu_ms: number;
  callers_cpu_ms: number;
  server_rss_peak_mb: number;
  [condition: string]: number | string;
}

/** What everything since `before` has taken, for each of what was counted. */
export function costOf(stage: Stage, before: Cpu, outcome: Outcome): Cost {
  const { count, p50Ms, p95Ms, p99Ms, cpuMs } = outcome;
  const after = stage.cpuMs();
  const each = (ms: number) => rounded(ms / count);
  return {
    n: count,
    p50_ms: rounded(p50Ms),
    p95_ms: rounded(p95Ms),
    p99_ms: rounded(p99Ms),
    server_cpu_ms: each(after.server - before.server),
    postgres_cpu_ms: each(after.postgres - before.postgres),
    callers_cpu_ms: each(cpuMs),
    ...(after.broker === undefined
      ? {}
      : { broker_cpu_ms: each(after.broker - (before.broker ?? 0)) }),
    server_rss_peak_mb: Math.round(memoryOf(stage.pid).peak),
    ...stage.conditions,
  };
}

/** Creates consumers by REST, as people do. */
export async function createConsumers(
  { rest }: Stage,
  prefix: string,
  count = CONSUMER_COUNT,
): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
  for (const name of names) {
    const response = await fetch(`${rest}/api/maestro/v1/consumers`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    if (!response.ok) throw new Error(`Cannot create consumer "${name}": ${await response.text()}`);
  }
  return names;
}

/** Stores resources of version 1, with ids that reports can name: what is fast on an empty table says little. */
export async function fill(stage: Stage, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => resourceId(n));
  const consumers = await createConsumers(stage, "stored");
  const size = 5_000;
  for (let from = 0; from < ids.length; from += size) {
    await query(stage.db, FILL, [ids.slice(from, from + size), consumers, SOURCE, specText()]);
  }
  await query(stage.db, "analyze resources", []);
  return consumers;
}

// Resource n is of consumer n modulo their number.
const FILL = `
  insert into resources (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata,
    observed_version
  )
  select id, id, $3::text, ($2::text[])[1 + (position - 1) % array_length($2::text[], 1)], 'Bundle', 1,
    $4::text::json, '', json_build_object('specversion', '1.0', 'id', id, 'source', $3::text, 'type', 't'),
    jsonb_build_object('name', id), 1
  from unnest($1::text[]) with ordinality as input (id, position)`;
