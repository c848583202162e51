/**
 * Many agents and many resources: `bun bench/scale.ts [--agents 10000] [--resources 1000000] [--persecond 500] [--seconds 60]`.
 *
 * The resources are stored beforehand, each observed by its agent. Every agent has a connection of its own; they are lean, in
 * a few processes, and answer each spec with a status. Sources create at a steady pace, for one consumer after the other.
 * With `--profile DIR` it shows as well where the time goes.
 */

import { parseArgs } from "node:util";
import { memoryOf } from "../tests/harness/memory.ts";
import { printFigure } from "./figure.ts";
import { connectAgents, storeConsumers, storeResources } from "./load/fleet.ts";
import { forgetStatements } from "./profile.ts";
import { measure, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10000" },
    resources: { type: "string", default: "1000000" },
    persecond: { type: "string", default: "500" },
    seconds: { type: "string", default: "60" },
    // With nothing to do but to keep the connections.
    rest: { type: "string", default: "20" },
    processes: { type: "string", default: "4" },
    directory: { type: "string" },
    profile: { type: "string" },
  },
});
const agents = Number(values.agents);
const resources = Number(values.resources);
const perSecond = Number(values.persecond);
const WARM_UP_MS = 5_000;
const PREFIX = "scale-";
const about = { bench: "scale", agents, resources, per_second: perSecond };

await using stack = new AsyncDisposableStack();
const stage = stack.use(await openStage(values));
const storing = performance.now();
const consumers = await storeConsumers(stage.db, PREFIX, agents);
await storeResources(stage.db, { prefix: PREFIX, consumers: agents, from: 0, to: resources });
printFigure({
  ...about,
  what: `storing ${resources} resources`,
  value: (performance.now() - storing) / 1_000,
  unit: "s",
});
if (values.profile !== undefined) await forgetStatements(stage.db);

const before = memoryOf(stage.pid).now;
await connectAgents(stage, stack, consumers, Number(values.processes));
printFigure({
  ...about,
  promise: "scale-per-agent",
  what: `memory for each of ${agents} connected agents`,
  value: (memoryOf(stage.pid).now - before) * 1_024 / agents,
  unit: "KB",
});
const restMs = Number(values.rest) * 1_000;
const restBefore = stage.cpuMs();
await Bun.sleep(restMs);
const restAfter = stage.cpuMs();
for (const name of ["server", "postgres"] as const) {
  printFigure({
    ...about,
    what: `CPU time of ${name} with ${agents} agents and nothing to do`,
    value: (restAfter[name] - restBefore[name]) / restMs * 100,
    unit: "% of a core",
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
const shared = { ...about, ...cost };
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
