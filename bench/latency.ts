/**
 * From a create to the first status on its source's stream: `bun bench/latency.ts [--road grpc|mqtt] [--seconds 10]`.
 *
 * The agents answer at once, without a cluster. First at a steady 10 a second, then bursts of 100 to one consumer.
 */

import { parseArgs } from "node:util";
import { printFigure } from "./figure.ts";
import { createConsumers, fill, measure, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    road: { type: "string", default: "grpc" },
    seconds: { type: "string", default: "10" },
    resources: { type: "string", default: "50000" },
    profile: { type: "string" },
  },
});
const { road } = values;
if (road !== "grpc" && road !== "mqtt") throw new Error("--road must be grpc or mqtt");
const PER_SECOND = 10;
const BURST = 100;

await using stage = await openStage({ road, profile: values.profile });
await fill(stage, Number(values.resources));
await run("warm", { durationMs: 4_000, burst: BURST });
const durationMs = Number(values.seconds) * 1_000;
const steady = await run("steady", { durationMs });
const burst = await run("burst", { durationMs, burst: BURST });
const kinds = [
  ["steady", `create to first status over ${road}, ${PER_SECOND}/s`, steady],
  ["burst", `create to first status over ${road}, bursts of ${BURST} to one consumer`, burst],
] as const;
for (const [kind, what, { outcome, cost }] of kinds) {
  const shared = { bench: "latency", unit: "ms", ...cost };
  const names = [["p50", outcome.p50Ms], ["p99", outcome.p99Ms]] as const;
  for (const [name, value] of names) {
    const promise = `${kind}-${road}-${name}`;
    printFigure({ ...shared, promise, what: `${what}, ${name}`, value });
  }
}

async function run(name: string, how: { durationMs: number; burst?: number }) {
  await using load = await stage.startLoad();
  await using agents = await stage.startLoad();
  const consumers = await createConsumers(stage, name);
  await agents.run({
    ...{ task: "agents", road: stage.road, port: stage.roadPort, consumers, answers: true },
  });
  const task = { task: "round_trip", port: stage.sources, consumers, ...how } as const;
  return await measure(stage, load, { ...task, perSecond: PER_SECOND });
}
