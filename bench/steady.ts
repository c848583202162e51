/**
 * What is written when nothing happens: `bun bench/steady.ts [--agents 1000] [--resources 10000] [--minutes 10]`.
 *
 * Simulated agents of one process take and report everything. After two quiet minutes PostgreSQL counts by itself, in
 * `pg_stat_statements` and in the tables' own counters. Promised is that nothing is written but the pulse, once a minute for each
 * consumer. One JSON line with the tables that were written, the statements that took most, and the CPU time of
 * server and PostgreSQL.
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Db } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { bundle } from "../tests/harness/events.ts";
import { describeMachine } from "./figure.ts";
import { openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "1000" },
    resources: { type: "string", default: "10000" },
    minutes: { type: "string", default: "10" },
  },
});

const MINUTE_MS = 60_000;
const QUIET_MS = 2 * MINUTE_MS;
const FILL_TIMEOUT_MS = 15 * MINUTE_MS;
const PREFIX = "steady";

/** Stores consumers and their resources as if sources had made them. */
async function fill(db: Db, agents: number, resources: number): Promise<void> {
  await query(
    db,
    "insert into consumers (id, name) select $1 || '-' || n, $1 || '-' || n " +
      "from generate_series(1, $2::int) n",
    [PREFIX, agents],
  );
  const [before = "", after = ""] = bundle().split('"name":"a"');
  await query(
    db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event) select id, id, 'bench', $1 || '-' || (1 + n % $2::int), 'Bundle', 1, " +
      "($4 || '\"name\":\"cm-' || n || '\"' || $5)::json, '', json_build_object('specversion', " +
      "'1.0', 'id', id, 'source', 'bench', 'type', 't') " +
      "from (select n, gen_random_uuid()::text as id from generate_series(1, $3::int) n) made",
    [PREFIX, agents, resources, before, after],
  );
}

async function countUnsettled(db: Db): Promise<number> {
  const text = "select count(*)::int as n from resources " +
    "where applied_version <> version or status is null";
  return (await query<{ n: number }>(db, text, []))[0]?.n ?? 0;
}

/** Rows written so far, by table. */
async function written(db: Db): Promise<Map<string, number>> {
  await query(db, "select pg_stat_clear_snapshot()", []);
  const rows = await query<{ name: string; n: number }>(
    db,
    "select relname as name, (n_tup_ins + n_tup_upd + n_tup_del)::int as n " +
      "from pg_stat_user_tables",
    [],
  );
  return new Map(rows.map(({ name, n }) => [name, n]));
}

await using stage = await openStage({
  settings: { shared_preload_libraries: "pg_stat_statements", track_io_timing: "off" },
});
const { db } = stage;
const [agents, minutes] = [Number(values.agents), Number(values.minutes)];
await query(db, "create extension pg_stat_statements", []);
await fill(db, agents, Number(values.resources));
const child = Bun.spawn([
  ...[process.execPath, join(import.meta.dir, "../src/agent.ts"), "--log-level", "error"],
  ...["--simulate", String(agents), "--consumer-name", PREFIX, "--listen", "127.0.0.1:0"],
  ...["--server", `127.0.0.1:${stage.agents}`],
], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });

try {
  await eventually(() => countUnsettled(db), (n) => n === 0, {
    timeoutMs: FILL_TIMEOUT_MS,
    intervalMs: 1_000,
  });
  await Bun.sleep(QUIET_MS);
  const before = await written(db);
  const cpuBefore = stage.cpuMs();
  await query(db, "select pg_stat_statements_reset()", []);
  await Bun.sleep(minutes * MINUTE_MS);
  const after = await written(db);
  const cpu = stage.cpuMs();
  const statements = await query<{ text: string; calls: number; rows: number; ms: number }>(
    db,
    "select regexp_replace(left(query, 60), '\\s+', ' ', 'g') as text, calls::int, rows::int, " +
      "round(total_exec_time)::int as ms from pg_stat_statements order by calls desc limit 12",
    [],
  );
  const tables = [...after].flatMap(([name, n]) => {
    const rows = n - (before.get(name) ?? 0);
    return rows > 0 ? [{ name, rows }] : [];
  });
  const pulses = tables.find(({ name }) => name === "consumers")?.rows ?? 0;
  const total = statements.reduce((sum, { calls }) => sum + calls, 0);
  const share = (ms: number) => Number((ms / (minutes * MINUTE_MS) * 100).toFixed(2));
  process.stdout.write(`${
    JSON.stringify({
      bench: "steady",
      what: "rows written beyond the pulse, with nothing to do",
      value: tables.filter(({ name }) => name !== "consumers").reduce((n, one) => n + one.rows, 0),
      unit: "rows",
      ...{ agents, resources: Number(values.resources), minutes, tables },
      pulses_per_agent_and_minute: Number((pulses / agents / minutes).toFixed(2)),
      statements_per_second: Number((total / minutes / 60).toFixed(1)),
      server_cpu_percent: share(cpu.server - cpuBefore.server),
      postgres_cpu_percent: share(cpu.postgres - cpuBefore.postgres),
      statements,
      machine: describeMachine(),
    })
  }\n`);
} finally {
  child.kill("SIGTERM");
  await child.exited;
}
