/** Where the time goes: a CPU profile of the server, and PostgreSQL's statements with what each has taken. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Db } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";

/** Bun's own flags, with which the server writes its CPU profile into the folder when it ends. */
export function profileFlags(directory: string | undefined): string[] {
  return directory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${directory}`];
}

/** PostgreSQL's settings, with which it counts its statements. */
export function profileSettings(directory: string | undefined): Record<string, string> {
  if (directory === undefined) return {};
  return {
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.track_planning": "on",
  };
}

/** Begins to count. */
export async function startProfile(db: Db, directory: string | undefined): Promise<void> {
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  await query(db, "create extension if not exists pg_stat_statements", []);
}

/** Counts from now on. */
export async function forgetStatements(db: Db): Promise<void> {
  await query(db, "select pg_stat_statements_reset()", []);
}

/** Writes `statements.txt`: calls and plans, milliseconds in all and of planning, microseconds a call, and what it was. */
export async function writeStatements(db: Db, directory: string | undefined): Promise<void> {
  if (directory === undefined) return;
  const rows = await query<Record<string, string>>(db, STATEMENTS, []);
  const lines = rows.map((row) => Object.values(row).join("\t"));
  writeFileSync(
    join(directory, "statements.txt"),
    ["calls\tplans\tms\tplan ms\tus/call\trows\twal KB\tstatement", ...lines, ""].join("\n"),
  );
}

const STATEMENTS = `
  select calls::text, plans::text, round(total_exec_time + total_plan_time)::text as ms,
    round(total_plan_time)::text as plan_ms,
    round((total_exec_time + total_plan_time) / calls * 1000)::text as us, rows::text,
    round(wal_bytes / 1024)::text as wal,
    left(regexp_replace(regexp_replace(query, '--[^\\n]*', '', 'g'), '\\s+', ' ', 'g'), 160) as statement
  from pg_stat_statements
  where calls > 0
  order by total_exec_time + total_plan_time desc
  limit 25`;
