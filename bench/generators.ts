/**
 * What the load generators reach alone: `bun bench/generators.ts [--seconds 4]`.
 *
 * Against mosquitto, and against a gRPC server that does nothing. Where a bench comes near these figures, it measures its load and
 * not Maestro. `of_one_core` is what a generator would reach with a core of its own, by its CPU time.
 */

import { parseArgs } from "node:util";
import { cpuMs } from "../tests/harness/cpu.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { printFigure, rounded } from "./figure.ts";
import { startBareServer } from "./load/bare_server.ts";
import { createStamp } from "./load/events.ts";
import { now, type Outcome } from "./load/summary.ts";
import { type Load, startLoad } from "./stage.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "4" } } });
const durationMs = Number(values.seconds) * 1_000;
const WARM_MS = 2_000;
const CALLERS = 32;
const consumers = Array.from({ length: 10 }, (_, n) => `c-${n}`);

await overMqtt();
await overGrpc();

async function overMqtt(): Promise<void> {
  // Nothing is dropped, so all that comes later is counted too.
  await using broker = await startMosquitto({ config: ["max_queued_messages 10000000"] });
  const { port } = broker;
  await using sender = await startLoad();
  await using agents = await startLoad();
  await agents.run({ task: "agents", road: "mqtt", port, consumers, answers: false });
  const task = { task: "specs", port, consumers, underWayMax: CALLERS } as const;
  await sender.run({ ...task, durationMs: WARM_MS });
  const received = await startCount(agents);
  const sent = await sender.run({ ...task, durationMs });
  show("specs of 3 KB published over MQTT, mosquitto alone", sent);
  show("the same received, 10 agents", await received());
}

async function overGrpc(): Promise<void> {
  const event = createStamp("c-0")(crypto.randomUUID());
  using server = startBareServer(event);
  const { port } = server;
  await using caller = await startLoad();
  const task = { task: "create", port, consumers, callers: CALLERS } as const;
  await caller.run({ ...task, durationMs: WARM_MS });
  const called = await caller.run({ ...task, durationMs });
  show(`calls of 3 KB over gRPC, a bare server alone, ${CALLERS} callers`, called);
  await using agents = await startLoad();
  const received = await startCount(agents);
  await agents.run({ task: "agents", road: "grpc", port, consumers, answers: false });
  await Bun.sleep(durationMs);
  show("events of 3 KB received over gRPC, 10 agents", await received());
}

/** Returns a function that says what agents have received since, and at what cost. */
async function startCount(agents: Load): Promise<() => Promise<Outcome>> {
  const read = () => agents.run({ task: "received", what: "messages" });
  const [before, startedAt, startedMs] = [await read(), now(), cpuMs(agents.pid)];
  return async () => {
    const after = await read();
    const count = after.count - before.count;
    return { ...after, count, startedAt, endedAt: now(), cpuMs: cpuMs(agents.pid) - startedMs };
  };
}

function show(what: string, { count, startedAt, endedAt, cpuMs }: Outcome): void {
  printFigure({
    bench: "generators",
    what,
    value: count / (endedAt - startedAt) * 1_000,
    unit: "1/s",
    n: count,
    callers_cpu_ms: rounded(cpuMs / count),
    of_one_core: Math.round(count / cpuMs * 1_000),
  });
}
