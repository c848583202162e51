/**
 * Many agents and many resources: `bun bench/scale.ts [--agents 10000] [--resources 1000000] [--persecond 500] [--seconds 60] [--profile DIR]`.
 *
 * The resources are stored beforehand, each observed by its agent. Every agent has a connection of its own; they are lean, in
 * a few processes, and answer each spec with a status. Sources create at a steady pace, for one consumer after the other.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { printFigure } from "./figure.ts";
import { SOURCE, specText } from "./load/events.ts";
import { forgetStatements } from "./profile.ts";
import { type Load, measure, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10000" },
    resources: { type: "string", default: "1000000" },
    persecond: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
    processes: { type: "string", default: "4" },
    directory: { type: "string" },
    profile: { type: "string" },
    // With nothing to do but to keep the connections.
    rest: { type: "string", default: "20" },
  },
});
const agents = Number(values.agents);
const resources = Number(values.resources);
const perSecond = Number(values.persecond);
const FILLED_AT_ONCE = 20_000;
const WARM_UP_MS = 5_000;

// Each with a status that says it is applied, of the size that agents send.
const FILL = `
  insert into resources (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata,
    observed_version, applied_version, status, status_hash
  )
  select id, id, $4::text, 'scale-' || n % $3::int, 'Bundle', 1, $5::text::json, '',
    json_build_object('specversion', '1.0', 'id', id, 'source', $4::text, 'type', 't'),
    jsonb_build_object('name', id), 1, 1,
    json_build_object('conditions', '[]'::json, 'padding', repeat(md5(id), 40)), md5(id)
  from (
    select n, md5('resource ' || n)::uuid::text as id from generate_series($1::int, $2::int) n
  ) made`;

await using stack = new AsyncDisposableStack();
const stage = stack.use(await openStage(values));
const consumers = Array.from({ length: agents }, (_, n) => `scale-${n}`);
const storeMs = await store();
if (values.profile !== undefined) await forgetStatements(stage.db);
const before = memoryOf(stage.pid).now;
await connectAgents();
const connected = memoryOf(stage.pid).now;
const about = { agents, resources, per_second: perSecond };
printFigure({
  bench: "scale",
  what: `storing ${resources} resources`,
  value: storeMs / 1_000,
  unit: "s",
});
printFigure({
  bench: "scale",
  promise: "scale-per-agent",
  what: `memory for each of ${agents} connected agents`,
  value: (connected - before) * 1_024 / agents,
  unit: "KB",
  ...about,
});
const restMs = Number(values.rest) * 1_000;
const restBefore = stage.cpuMs();
await Bun.sleep(restMs);
const restAfter = stage.cpuMs();
for (const name of ["server", "postgres"] as const) {
  printFigure({
    bench: "scale",
    what: `CPU time of ${name} with ${agents} agents and nothing to do`,
    value: (restAfter[name] - restBefore[name]) / restMs * 100,
    unit: "% of a core",
    ...about,
  });
}
const load = stack.use(await stage.startLoad());
const task = { task: "round_trip", port: stage.sources, consumers, perSecond } as const;
await load.run({ ...task, durationMs: WARM_UP_MS });
const { outcome, cost } = await measure(stage, load, {
  ...task,
  durationMs: Number(values.seconds) * 1_000,
});
const what = `create to first status, ${agents} agents, ${resources} resources, ${perSecond}/s`;
const shared = { bench: "scale", ...about, ...cost };
for (const [name, value] of [["p50", outcome.p50Ms], ["p99", outcome.p99Ms]] as const) {
  const promise = `scale-${name}`;
  printFigure({ ...shared, promise, what: `${what}, ${name}`, value, unit: "ms" });
}
printFigure({
  ...shared,
  promise: "scale-rss",
  what: `memory of the server, ${agents} agents, ${resources} resources`,
  value: memoryOf(stage.pid).peak,
  unit: "MB",
});

/** Resolves to the milliseconds that it took. */
async function store(): Promise<number> {
  const began = performance.now();
  await query(
    stage.db,
    "insert into consumers (id, name) select name, name from unnest($1::text[]) as input (name)",
    [consumers],
  );
  for (let from = 0; from < resources; from += FILLED_AT_ONCE) {
    await query(stage.db, FILL, [
      from,
      Math.min(from + FILLED_AT_ONCE, resources) - 1,
      ...[agents, SOURCE, specText()],
    ]);
  }
  await query(stage.db, "analyze", []);
  return performance.now() - began;
}

async function connectAgents(): Promise<void> {
  const size = Math.ceil(agents / Number(values.processes));
  const connecting: Promise<unknown>[] = [];
  for (let from = 0; from < agents; from += size) {
    const generator: Load = stack.use(await stage.startLoad());
    const own = consumers.slice(from, from + size);
    const task = { task: "agents", road: "grpc", port: stage.agents } as const;
    connecting.push(generator.run({ ...task, consumers: own, answers: true }));
  }
  await Promise.all(connecting);
}
