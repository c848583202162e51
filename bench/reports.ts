/**
 * Reports stored, and told to their source: `bun bench/reports.ts [--road grpc|mqtt] [--seconds 8] [--resources 50000]`.
 *
 * Over gRPC an answer means stored, so 32 callers show what is stored alone. Then a source listens, and 300 reports are on
 * their way from agent to source at most: how many arrive a second, and how long one takes.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import { printFigure } from "./figure.ts";
import { fill, measure, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    road: { type: "string", default: "grpc" },
    callers: { type: "string", default: "32" },
    underway: { type: "string", default: "300" },
    seconds: { type: "string", default: "8" },
    resources: { type: "string", default: "50000" },
    profile: { type: "string" },
  },
});
const { road } = values;
if (road !== "grpc" && road !== "mqtt") throw new Error("--road must be grpc or mqtt");
const resources = Number(values.resources);
const durationMs = Number(values.seconds) * 1_000;

await using stage = await openStage({ road, profile: values.profile });
const consumers = await fill(stage, resources);
const common = { port: stage.roadPort, consumers, resources };
const callers = Number(values.callers);
if (road === "grpc") {
  await using load = await stage.startLoad();
  await load.run({ task: "report", ...common, callers, durationMs: 8_000 });
  const before = await stored();
  const { outcome, cost } = await measure(stage, load, {
    ...{ task: "report", ...common, callers, durationMs },
  });
  const found = await stored() - before;
  if (found !== outcome.count) throw new Error(`Of ${outcome.count} reports ${found} are stored`);
  printFigure({
    bench: "reports",
    promise: "reports-stored",
    what: `reports stored, nobody listens, ${callers} callers`,
    value: outcome.count / (outcome.endedAt - outcome.startedAt) * 1_000,
    unit: "1/s",
    ...cost,
  });
}
{
  await using load = await stage.startLoad();
  const underWayMax = Number(values.underway);
  const task = { task: "fed_reports", road, sources: stage.sources, ...common } as const;
  await load.run({ ...task, underWayMax, durationMs: 8_000 });
  const { outcome, cost } = await measure(stage, load, { ...task, underWayMax, durationMs });
  const what = `reports from agent to source over ${road}, ${underWayMax} under way`;
  const shared = { bench: "reports", ...cost };
  const promise = `reports-fed-${road}`;
  const value = outcome.count / (outcome.endedAt - outcome.startedAt) * 1_000;
  const cpu = cost.server_cpu_ms + cost.postgres_cpu_ms;
  const figures = [
    [promise, what, value, "1/s"],
    [`${promise}-cpu`, `${what}: CPU of server and PostgreSQL`, cpu, "ms"],
    [`${promise}-p99`, `${what}: p99`, outcome.p99Ms, "ms"],
  ] as const;
  for (const [promise, what, value, unit] of figures) {
    printFigure({ ...shared, promise, what, value, unit });
  }
}

/** Each stored report has an entry in the change feed, and in no other way does one get there. */
async function stored(): Promise<number> {
  const text = "select count(*)::int as n from changes";
  const [row] = await query<{ n: number }>(stage.db, text, []);
  return row?.n ?? 0;
}
