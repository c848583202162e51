/**
 * What is left unobserved when servers die all the time and nobody hears a notification:
 * `bun bench/replicas.ts [--agents 1000] [--resources 10000] [--changes 100000] [--kill-every 20]`.
 *
 * Three servers behind one address, with simulated agents spread over them. PostgreSQL's notifications are taken out of
 * its stream, so that whatever is found is found by sweeps. Sources create and update until so many changes are accepted;
 * meanwhile one server after the other is killed and started again. A JSON line: how many resources are not as their
 * source was told that they are, or not observed and applied as they are stored; and how long that took after the end.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatDatabaseUrl } from "../src/lib/db/address.ts";
import { connect, type Db } from "../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../src/lib/db/embedded.ts";
import { migrate } from "../src/lib/db/migrate.ts";
import { query } from "../src/lib/db/query.ts";
import { createLogger } from "../src/lib/log.ts";
import { dropNotifications } from "../tests/harness/deafness.ts";
import { bundle, specEvent } from "../tests/harness/events.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { openPublisher, refused } from "../tests/harness/grpc.ts";
import { startAgent } from "../tests/harness/programs.ts";
import { type Replicas, startReplicas } from "../tests/harness/replicas.ts";
import { startTcpProxy } from "../tests/harness/tcp_proxy.ts";
import { describeMachine } from "./figure.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "1000" },
    resources: { type: "string", default: "10000" },
    changes: { type: "string", default: "100000" },
    "kill-every": { type: "string", default: "20" },
  },
});
const [agents, resources, changes] = [
  Number(values.agents),
  Number(values.resources),
  Number(values.changes),
];
const killEveryMs = Number(values["kill-every"]) * 1000;
if (!agents || !resources || !changes || !killEveryMs || changes < resources) {
  throw new Error("--agents, --resources, --changes and --kill-every must be numbers above 0");
}

const SERVERS = 3;
const CALLERS = 16;
const CALL_TIMEOUT_MS = 5_000;
const RETRY_MS = 50;
const QUIET_TIMEOUT_MS = 10 * 60_000;

/** What sources were told: by id the content that was accepted last. */
const accepted = new Map<string, string>();
let acceptedCount = 0;
let triedAgain = 0;

const nameOf = (index: number) => `work-${index}`;
const consumerOf = (index: number) => `fleet-${1 + index % agents}`;
const content = (index: number, round: number) =>
  bundle(`${round}`).replace('"name":"a"', `"name":"cm-${index}"`);

/** A caller changes its own resources, one after the other, and each until it is accepted. */
async function call(address: string, caller: number): Promise<void> {
  let publisher = openPublisher(address);
  for (let round = 0; acceptedCount < changes; round++) {
    for (let index = caller; index < resources && acceptedCount < changes; index += CALLERS) {
      const data = content(index, round);
      const event = specEvent({
        action: round === 0 ? "create_request" : "update_request",
        id: nameOf(index),
        consumerName: consumerOf(index),
        data,
      });
      for (;;) {
        const answer = await refused(publisher.publish(event, { timeoutMs: CALL_TIMEOUT_MS }))
          .catch(() => undefined);
        // What was stored before its answer was lost is there.
        if (answer === undefined || answer.details.endsWith("already exists")) break;
        triedAgain++;
        publisher[Symbol.dispose]();
        await Bun.sleep(RETRY_MS);
        publisher = openPublisher(address);
      }
      accepted.set(event.extensions["resourceid"] as string, data);
      acceptedCount++;
    }
  }
  publisher[Symbol.dispose]();
}

/** Kills one server after the other until the signal aborts; resolves to how many. */
async function killServers(replicas: Replicas, signal: AbortSignal): Promise<number> {
  let kills = 0;
  while (!signal.aborted) {
    const over = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([Bun.sleep(killEveryMs), over]);
    if (!signal.aborted) await replicas.restart(kills++ % SERVERS, "SIGKILL");
  }
  return kills;
}

/** The resources that are not as they should be, and what is stored of all. */
async function look(db: Db): Promise<{ unobserved: number; lost: number }> {
  const rows = await query<{ id: string; spec: string; is_observed: boolean }>(
    db,
    "select id, spec::text, version = observed_version and version = applied_version " +
      "and status_version = version as is_observed from resources where deleted_at is null",
    [],
  );
  const stored = new Map(rows.map((row) => [row.id, row]));
  const lost = [...accepted].filter(([id, data]) => stored.get(id)?.spec !== data);
  return { unobserved: rows.filter((row) => !row.is_observed).length, lost: lost.length };
}

/** Runs it all; resolves to the line. */
async function run(): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ level: "error", isTerminal: false, write: () => {} });
  const directory = mkdtempSync(join(tmpdir(), "maestro-bench-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = stack.use(
    await startEmbeddedPostgres({ stateDirectory: directory, log, searchFrom: [process.cwd()] }),
  );
  const { address } = postgres;
  const db = stack.adopt(
    connect(address, { maxConnections: 2, applicationName: "bench" }),
    (db) => db.end({ timeout: 5 }),
  );
  await migrate(db, log);
  await query(
    db,
    "insert into consumers (id, name) select 'fleet-' || n, 'fleet-' || n " +
      "from generate_series(1, $1::int) n",
    [agents],
  );
  const deaf = stack.use(
    await startTcpProxy(`${address.host}/.s.PGSQL.${address.port}`, {
      filterDown: () => dropNotifications(() => true),
    }),
  );
  const url = formatDatabaseUrl({ ...address, host: "127.0.0.1", port: deaf.port });
  const replicas = stack.use(await startReplicas(url, SERVERS));
  stack.use(
    await startAgent({
      consumerName: "fleet",
      isFromSource: true,
      args: ["--simulate", String(agents), "--server", replicas.agents, "--log-level", "info"],
    }),
  );

  const began = performance.now();
  const end = new AbortController();
  let loadMs = 0;
  const callers = Array.from({ length: CALLERS }, (_, caller) => call(replicas.sources, caller));
  const calling = Promise.all(callers).then(() => {
    loadMs = performance.now() - began;
    end.abort();
  });
  const [kills] = await Promise.all([killServers(replicas, end.signal), calling]);
  const endedAt = performance.now();
  const isQuiet = (state: Awaited<ReturnType<typeof look>>) => state.unobserved + state.lost === 0;
  // What is still wrong at the deadline is the result.
  await eventually(() => look(db), isQuiet, { timeoutMs: QUIET_TIMEOUT_MS, intervalMs: 1_000 })
    .catch(() => {});
  const state = await look(db);
  return JSON.stringify({
    bench: "replicas",
    what: "resources not observed at quiet, with servers killed and no notifications",
    value: state.unobserved,
    unit: "resources",
    lost: state.lost,
    ...{ agents, resources, changes: acceptedCount, kills, calls_tried_again: triedAgain },
    changes_per_second: Math.round(acceptedCount / loadMs * 1000),
    quiet_after_s: Number(((performance.now() - endedAt) / 1000).toFixed(1)),
    machine: describeMachine(),
  });
}

process.stdout.write(`${await run()}\n`);
// Clients that were given up may hold sockets that nobody waits for.
process.exit();
