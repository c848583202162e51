/**
 * Creates on their way to agents: `bun bench/deliver.ts [--road grpc|mqtt] [--agents 100] [--seconds 8] [--resources 50000]`.
 *
 * First as fast as 32 callers can make them: those delivered a second, until the last one has arrived. Then 1,000 at once: how
 * long after the last was accepted the last has arrived.
 */

import { parseArgs } from "node:util";
import { cpuMs } from "../tests/harness/cpu.ts";
import { printFigure, rounded } from "./figure.ts";
import { costOf, createConsumers, fill, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    road: { type: "string", default: "grpc" },
    agents: { type: "string", default: "100" },
    callers: { type: "string", default: "32" },
    seconds: { type: "string", default: "8" },
    resources: { type: "string", default: "50000" },
    profile: { type: "string" },
  },
});
const { road } = values;
if (road !== "grpc" && road !== "mqtt") throw new Error("--road must be grpc or mqtt");
const DELIVERY_TIMEOUT_MS = 60_000;
const AT_ONCE = 1_000;

await using stage = await openStage({ road, profile: values.profile });
await fill(stage, Number(values.resources));
await run("warm", { durationMs: 8_000 });
const callers = Number(values.callers);
const agentCount = Number(values.agents);
{
  const { outcome, receivedAt, cost } = await run("flow", {
    durationMs: Number(values.seconds) * 1_000,
  });
  printFigure({
    bench: "deliver",
    promise: `deliver-${road}`,
    what: `creates delivered to ${agentCount} agents over ${road}, ${callers} callers`,
    value: outcome.count / (receivedAt - outcome.startedAt) * 1_000,
    unit: "1/s",
    ...cost,
  });
}
{
  const { outcome, receivedAt, cost } = await run("at-once", {
    durationMs: DELIVERY_TIMEOUT_MS,
    count: AT_ONCE,
  });
  printFigure({
    bench: "deliver",
    promise: `deliver-at-once-${road}`,
    what: `${AT_ONCE} creates over ${road}: from the last accepted to the last delivered`,
    value: Math.max(0, receivedAt - outcome.endedAt) / 1_000,
    unit: "s",
    ...cost,
  });
}

async function run(name: string, limits: { durationMs: number; count?: number }) {
  await using load = await stage.startLoad();
  await using agents = await stage.startLoad();
  const consumers = await createConsumers(stage, name, Number(values.agents));
  const port = stage.roadPort;
  await agents.run({ task: "agents", road: stage.road, port, consumers, answers: false });
  const before = stage.cpuMs();
  const agentsBefore = cpuMs(agents.pid);
  const callers = Number(values.callers);
  const outcome = await load.run({
    ...{ task: "create", port: stage.sources, consumers, callers },
    ...limits,
  });
  const deadline = performance.now() + DELIVERY_TIMEOUT_MS;
  let received = await agents.run({ task: "received" });
  while (received.count < outcome.count) {
    if (performance.now() > deadline) {
      throw new Error(`Of ${outcome.count} specs ${received.count} were delivered`);
    }
    await Bun.sleep(5);
    received = await agents.run({ task: "received" });
  }
  const agentsCpuMs = (cpuMs(agents.pid) - agentsBefore) / outcome.count;
  const cost = { ...costOf(stage, before, outcome), agents_cpu_ms: rounded(agentsCpuMs) };
  return { outcome, receivedAt: received.endedAt, cost };
}
