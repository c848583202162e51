/**
 * What a change costs as there are more agents and more resources: `bun bench/slopes.ts [--agents 10,100,1000,10000]
 * [--resources 10000,100000,1000000] [--persecond 100] [--seconds 10]`.
 *
 * The CPU time of the server and PostgreSQL from the create to its first status, without what both take at rest. First the
 * agents grow, with the fewest resources; then the resources, with a hundred agents or the most that there are. Two figures: the last cost
 * as a multiple of the first.
 */

import { parseArgs } from "node:util";
import { printFigure, rounded } from "./figure.ts";
import { connectAgents, storeConsumers, storeResources } from "./load/fleet.ts";
import { type Load, openStage, type Stage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10,100,1000,10000" },
    resources: { type: "string", default: "10000,100000,1000000" },
    persecond: { type: "string", default: "100" },
    seconds: { type: "string", default: "10" },
    processes: { type: "string", default: "2" },
    directory: { type: "string" },
  },
});
const agentCounts = values.agents.split(",").map(Number);
const resourceCounts = values.resources.split(",").map(Number);
const perSecond = Number(values.persecond);
const durationMs = Number(values.seconds) * 1_000;
const WARM_UP_MS = 5_000;
const AGENTS_MAX = 100;

const [fewest = 0] = resourceCounts;
await slope("agents", agentCounts.map((agents) => ({ agents, resources: fewest })));
const agents = Math.min(AGENTS_MAX, Math.max(...agentCounts));
await slope("resources", resourceCounts.map((resources) => ({ agents, resources })));
process.exit();

/** Each step on what the one before has made. */
async function slope(
  name: "agents" | "resources",
  steps: { agents: number; resources: number }[],
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = stack.use(await openStage(values));
  const load = stack.use(await stage.startLoad());
  const prefix = "slope-";
  const costs: number[] = [];
  let [connected, stored] = [0, 0];
  for (const { agents, resources } of steps) {
    const consumers = await storeConsumers(stage.db, prefix, agents);
    await storeResources(stage.db, { prefix, consumers: agents, from: stored, to: resources });
    stored = resources;
    const fresh = consumers.slice(connected);
    if (fresh.length > 0) await connectAgents(stage, stack, fresh, Number(values.processes));
    connected = agents;
    costs.push(await costOfChange(stage, load, consumers));
  }
  const what = steps.map((step) => step[name]).join(", ");
  const [first = NaN] = costs;
  printFigure({
    bench: "slopes",
    promise: `slope-${name}`,
    what: `CPU time for a change with ${what} ${name}, the last as a multiple of the first`,
    value: (costs.at(-1) ?? NaN) / first,
    unit: "",
    per_second: perSecond,
    cpu_ms: costs.map(rounded),
  });
}

/** In milliseconds; what both take at rest is left out. */
async function costOfChange(stage: Stage, load: Load, consumers: string[]): Promise<number> {
  const task = { task: "round_trip", port: stage.sources, consumers, perSecond } as const;
  await load.run({ ...task, durationMs: WARM_UP_MS });
  const atRest = await usedBy(stage, () => Bun.sleep(durationMs));
  let count = 0;
  const used = await usedBy(stage, async () => {
    count = (await load.run({ ...task, durationMs })).count;
  });
  return Math.max(0, used - atRest) / count;
}

async function usedBy(stage: Stage, run: () => Promise<unknown>): Promise<number> {
  const before = stage.cpuMs();
  await run();
  const after = stage.cpuMs();
  return after.server - before.server + after.postgres - before.postgres;
}
