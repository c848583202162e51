/**
 * What it takes to be there: `bun bench/idle.ts [--runs 5] [--settle 60] [--seconds 60]`, on the executables in dist/
 * (`bun run build`).
 *
 * The server from its start until it is healthy, on a database with the schema; the migration of an empty one; the memory and
 * the CPU time of a server with one connected agent and nothing to do, and of that agent, whose cluster is made up.
 *
 * In its first half minute the engine compiles what goes on being called, which costs as much as all the rest: idle is what comes
 * after it, and what it took until then is told beside it. The kernel counts all threads, also those that have ended, in steps of
 * 10 ms: of a minute that is 0.02 %.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type DatabaseAddress, formatDatabaseUrl } from "../src/lib/db/address.ts";
import { connect } from "../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { createLogger } from "../src/lib/log.ts";
import { cpuMs } from "../tests/harness/cpu.ts";
import { freePort } from "../tools/ports.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { median, printFigure, rounded } from "./figure.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "60" },
    settle: { type: "string", default: "60" },
  },
});
const ROOT = join(import.meta.dir, "..");
const DIST = join(ROOT, "dist");
const START_TIMEOUT_MS = 20_000;
const runs = Number(values.runs);

await using stack = new AsyncDisposableStack();
const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
const directory = mkdtempSync(join(tmpdir(), "maestro-bench-"));
stack.defer(() => rmSync(directory, { recursive: true, force: true }));
const postgres = stack.use(
  await startEmbeddedPostgres({ stateDirectory: directory, log, searchFrom: [ROOT] }),
);
const admin = stack.adopt(
  connect(postgres.address, { maxConnections: 1, applicationName: "bench" }),
  (db) => db.end({ timeout: 5 }),
);

const migrations: number[] = [];
let address: DatabaseAddress = postgres.address;
for (let run = 0; run < runs; run++) {
  address = { ...postgres.address, database: `bench_${run}` };
  await admin.unsafe(`create database ${address.database}`);
  const began = performance.now();
  const child = Bun.spawn([join(DIST, "maestro"), "migration", ...databaseFlags()]);
  if (await child.exited !== 0) throw new Error("The migration failed");
  migrations.push(performance.now() - began);
}
print("migrate", "migration of an empty database", median(migrations), "ms", { n: runs });

const starts: number[] = [];
for (let run = 0; run < runs; run++) {
  await using server = await startServer();
  starts.push(server.healthyAfterMs);
}
print("start", "start of the server until it is healthy", median(starts), "ms", { n: runs });

await using server = await startServer();
await fetch(`http://127.0.0.1:${server.rest}/api/maestro/v1/consumers`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: '{"name":"idle"}',
});
const agent = Bun.spawn([
  ...[join(DIST, "maestro-agent"), "--simulate", "1", "--consumer-name", "idle"],
  ...["--server", `127.0.0.1:${server.agents}`, "--listen", "127.0.0.1:0"],
], { stdout: "ignore", stderr: "ignore" });
stack.defer(async () => {
  agent.kill("SIGTERM");
  await agent.exited;
});
const names = [["server", server.pid], ["agent", agent.pid]] as const;
const settling = await percentsOver(Number(values.settle));
const seconds = Number(values.seconds);
const idle = await percentsOver(seconds);
names.forEach(([name, pid], index) => {
  const percent = idle[index] ?? 0;
  const more = { seconds, percent_while_it_settled: rounded(settling[index] ?? 0) };
  print(`idle-${name}-rss`, `memory of an idle ${name}`, memoryOf(pid).now, "MB");
  print(`idle-${name}-cpu`, `CPU time of an idle ${name}`, percent, "% of a core", more);
});

/** What each program takes of a core from now on. */
async function percentsOver(seconds: number): Promise<number[]> {
  const before = names.map(([, pid]) => cpuMs(pid));
  await Bun.sleep(seconds * 1_000);
  return names.map(([, pid], index) => {
    return (cpuMs(pid) - (before[index] ?? 0)) / (seconds * 10);
  });
}

function databaseFlags(): string[] {
  return ["--database-url", formatDatabaseUrl(address)];
}

async function startServer() {
  const ports = { rest: freePort(), health: freePort(), agents: freePort() };
  const began = performance.now();
  const child = Bun.spawn([
    ...[join(DIST, "maestro"), "server", ...databaseFlags(), "--server-hostname", "127.0.0.1"],
    ...["--enable-jwt=false", "--grpc-authn-type=mock"],
    ...["--http-server-bindport", String(ports.rest)],
    ...["--health-check-server-bindport", String(ports.health)],
    ...["--grpc-broker-bindport", String(ports.agents)],
    ...["--grpc-server-bindport", "0", "--metrics-server-bindport", "0"],
  ], { stdout: "ignore", stderr: "ignore" });
  const isHealthy = async () => {
    const answer = await fetch(`http://127.0.0.1:${ports.health}/healthcheck`).catch(() => {});
    return answer?.status === 200;
  };
  while (!await isHealthy()) {
    if (performance.now() - began > START_TIMEOUT_MS) throw new Error("The server does not start");
    await Bun.sleep(1);
  }
  return {
    ...ports,
    pid: child.pid,
    healthyAfterMs: performance.now() - began,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

function print(
  promise: string,
  what: string,
  value: number,
  unit: string,
  more: Record<string, unknown> = {},
): void {
  printFigure({ bench: "idle", promise, what, value, unit, ...more });
}
