/**
 * Creates accepted over gRPC: `bun bench/accept.ts [--bytes 3072] [--callers 1,8,32] [--seconds 8] [--resources 50000]`.
 *
 * Nobody takes them, so that accepting is what is measured. In the same run PostgreSQL shows what it can store alone: the
 * same rows, 50 a statement, from eight connections.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import { measureCeiling } from "./ceiling.ts";
import { printFigure } from "./figure.ts";
import { SPEC_BYTES } from "./load/events.ts";
import { createConsumers, fill, measure, openStage, type Stage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    bytes: { type: "string", default: String(SPEC_BYTES) },
    callers: { type: "string", default: "1,8,32" },
    seconds: { type: "string", default: "8" },
    resources: { type: "string", default: "50000" },
    profile: { type: "string" },
  },
});
const specBytes = Number(values.bytes);
/** As many as keep the server busy. */
const CALLERS_MANY = 32;
const durationMs = Number(values.seconds) * 1_000;

await using stage = await openStage({ profile: values.profile });
await fill(stage, Number(values.resources));
await accept(stage, CALLERS_MANY, 10_000);
const ceiling = await measureCeiling(stage, { specBytes, durationMs });
printFigure({
  bench: "accept",
  what: "the same rows by PostgreSQL alone, 50 a statement, 8 connections",
  unit: "1/s",
  ...ceiling,
});
for (const callers of values.callers.split(",").map(Number)) {
  const { outcome, cost } = await accept(stage, callers, durationMs);
  const kilobytes = Math.round(specBytes / 1_024);
  const who = `${callers} ${callers === 1 ? "caller" : "callers"}`;
  const what = `creates of ${kilobytes} KB accepted, ${who}`;
  const promise = `accept-${kilobytes}kb-${callers}`;
  const value = outcome.count / (outcome.endedAt - outcome.startedAt) * 1_000;
  const shared = { bench: "accept", ...cost };
  const cpu = cost.server_cpu_ms + cost.postgres_cpu_ms;
  printFigure({ ...shared, promise, what, value, unit: "1/s" });
  const more = [
    [`${promise}-p50`, `${what}: p50`, outcome.p50Ms, "ms"],
    [`${promise}-cpu`, `${what}: CPU of server and PostgreSQL`, cpu, "ms"],
    ["accept-share", `${what}: of what PostgreSQL can store`, value / ceiling.value, ""],
  ] as const;
  for (const [promise, what, value, unit] of more) {
    if (promise === "accept-share" && callers < CALLERS_MANY) continue;
    printFigure({ ...shared, promise, what, value, unit });
  }
}

async function accept(stage: Stage, callers: number, durationMs: number) {
  await using load = await stage.startLoad();
  const consumers = await createConsumers(stage, `accept-${crypto.randomUUID().slice(0, 8)}`);
  const task = { task: "create", port: stage.sources, consumers, callers, durationMs, specBytes };
  const measured = await measure(stage, load, task as typeof task & { task: "create" });
  const [row] = await query<{ n: number }>(
    stage.db,
    "select count(*)::int as n from resources where consumer_name = any($1)",
    [consumers],
  );
  if ((row?.n ?? 0) < measured.outcome.count) {
    throw new Error(`Of ${measured.outcome.count} creates ${row?.n} are stored`);
  }
  return measured;
}
