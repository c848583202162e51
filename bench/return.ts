/**
 * How long agents need that all come back at once: `bun bench/return.ts [--agents 10000] [--processes 4] [--profile DIR]`.
 *
 * Each has a resource. The server is killed, all resources are updated, and the server is started again. A JSON line: the
 * seconds until every update is applied and reported, and the most that the server held meanwhile. Agents and
 * PostgreSQL share the machine.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { connect } from "../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { migrate } from "../src/lib/db/migrate.ts";
import { createLogger } from "../src/lib/log.ts";
import { type Return, runReturn } from "../tests/harness/returning_fleet.ts";
import { familyCpuMs } from "../tests/harness/cpu.ts";
import { printFigure, rounded } from "./figure.ts";
import {
  forgetStatements,
  profileFlags,
  profileSettings,
  startProfile,
  writeStatements,
} from "./profile.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10000" },
    processes: { type: "string", default: "4" },
    profile: { type: "string" },
  },
});
const [agents, processes] = [Number(values.agents), Number(values.processes)];
if (!(agents > 0) || !(processes > 0)) throw new Error("--agents and --processes must be above 0");

async function run(): Promise<Return & { postgresCpuMs: number }> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
  const directory = mkdtempSync(join(tmpdir(), "maestro-bench-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = stack.use(
    await startEmbeddedPostgres({
      stateDirectory: directory,
      log,
      searchFrom: [process.cwd()],
      settings: profileSettings(values.profile),
    }),
  );
  const db = stack.adopt(
    connect(postgres.address, { maxConnections: 4, applicationName: "bench" }),
    (db) => db.end({ timeout: 5 }),
  );
  await migrate(db, log);
  await startProfile(db, values.profile);
  stack.defer(() => writeStatements(db, values.profile));
  let postgresBefore = 0;
  const seen = await runReturn({ db, url: postgres.url }, {
    agents,
    processes,
    timeoutMs: 15 * 60_000,
    runtimeFlags: profileFlags(values.profile),
    async begins() {
      if (values.profile !== undefined) await forgetStatements(db);
      postgresBefore = familyCpuMs(postgres.pid);
    },
  });
  return { ...seen, postgresCpuMs: familyCpuMs(postgres.pid) - postgresBefore };
}

const seen = await run();
printFigure({
  bench: "return",
  promise: "return",
  what: "agents that return at once, until all are current",
  value: seen.currentAfterMs / 1_000,
  unit: "s",
  ...{ agents, processes, server_rss_mb: seen.rssMegabytes },
  agents_rss_mb: Math.round(seen.agentsRssMegabytes),
  subscribed_after_s: rounded(seen.subscribedAfterMs / 1_000),
  // For each agent; its start is in the server's.
  server_cpu_ms: rounded(seen.cpuMs.server / agents),
  postgres_cpu_ms: rounded(seen.postgresCpuMs / agents),
  agents_cpu_ms: rounded(seen.cpuMs.agents / agents),
});
process.exit();
