/**
 * How fast the road is: creates accepted, specs delivered, reports stored, and the way there and back.
 *
 * `bun bench/road.ts` prints a JSON line for each measurement, and a table on standard error.
 */

import { query } from "../src/lib/db/query.ts";
import { parseFlags } from "../src/lib/flags.ts";
import { boolean, choice, duration, integer, optionalText } from "../src/lib/flags.ts";
import { resourceId, SOURCE, specText } from "./events.ts";
import type { Outcome, Task } from "./road_load.ts";
import { describeMachine, type Load, openStage, type Stage } from "./stage.ts";

const FLAGS = {
  quick: boolean("off", "three seconds each, and few resources"),
  duration: duration("8s", "time for each measurement"),
  resources: integer("count", 50_000, { min: 10, max: 10_000_000 }, "stored beforehand"),
  only: choice(["all", "accept", "deliver", "report", "round-trip"], "all", "what is measured"),
  callers: integer("count", 0, { min: 0, max: 10_000 }, "in place of the usual numbers"),
  directory: optionalText("folder", "where the database is, on a real disk"),
  profile: optionalText("folder", "writes a CPU profile of the server there"),
};

interface Measurement {
  what: string;
  value: number;
  unit: string;
  p50_ms?: number;
  p99_ms?: number;
  /** CPU time for each operation. */
  server_cpu_ms: number;
  postgres_cpu_ms: number;
  /** Of the callers: the cores are shared, so it lowers what is measured. */
  callers_cpu_ms: number;
}

interface Bench {
  stage: Stage;
  durationMs: number;
  resources: number;
  /** Replaces the usual numbers of callers, if any. */
  callers: number;
  print: (measurement: Measurement) => void;
}

const CONSUMER_COUNT = 10;
const WARM_UP_MS = 2_000;
const DELIVERY_TIMEOUT_MS = 60_000;
const REPEATED_RESOURCES = 100;
const ROUND_TRIPS_PER_SECOND = 10;

async function main(args: string[]): Promise<void> {
  const { values } = parseFlags(FLAGS, args, {});
  const profile = values.profile;
  const runtimeFlags = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  await using stage = await openStage({ directory: values.directory, runtimeFlags });
  const all: Measurement[] = [];
  const machine = describeMachine();
  const command = ["bun bench/road.ts", ...args].join(" ");
  const bench: Bench = {
    stage,
    durationMs: values.quick ? Math.min(values.duration, 3_000) : values.duration,
    resources: values.quick ? Math.min(values.resources, 5_000) : values.resources,
    callers: values.callers,
    print: (measurement) => {
      all.push(measurement);
      process.stdout.write(
        `${JSON.stringify({ bench: "road", ...measurement, machine, command })}\n`,
      );
    },
  };
  const steps = {
    accept: measureAccept,
    deliver: measureDelivery,
    report: measureReports,
    "round-trip": measureRoundTrip,
  };
  await fill(bench);
  await warmUp(bench);
  for (const [name, step] of Object.entries(steps)) {
    if (values.only === "all" || values.only === name) await step(bench);
  }
  process.stderr.write(table(all));
}

/** A table that has seen some life: what is fast on an empty one says little. */
async function fill({ stage, resources }: Bench): Promise<void> {
  const ids = Array.from({ length: resources }, (_, n) => resourceId(n));
  const consumers = await createConsumers(stage, "stored");
  const size = 5_000;
  for (let from = 0; from < ids.length; from += size) {
    await query(stage.db, FILL, [ids.slice(from, from + size), consumers, SOURCE, specText()]);
  }
  await query(stage.db, "analyze resources", []);
}

const FILL = `
  insert into resources (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata,
    observed_version
  )
  select id, id, $3::text, ($2::text[])[1 + (position - 1) % array_length($2::text[], 1)], 'Bundle', 1,
    $4::text::json, '', json_build_object('specversion', '1.0', 'id', id, 'source', $3::text, 'type', 't'),
    jsonb_build_object('name', id), 1
  from unnest($1::text[]) with ordinality as input (id, position)`;

async function warmUp(bench: Bench): Promise<void> {
  await using load = await bench.stage.startLoad();
  const consumers = await createConsumers(bench.stage, "warm");
  const durationMs = Math.min(WARM_UP_MS, bench.durationMs);
  await load.run({ task: "create", port: bench.stage.sources, consumers, callers: 8, durationMs });
}

async function measureAccept(bench: Bench): Promise<void> {
  const { stage, durationMs } = bench;
  for (const callers of bench.callers > 0 ? [bench.callers] : [1, 8, 32]) {
    await using load = await stage.startLoad();
    const consumers = await createConsumers(stage, `accept-${callers}`);
    const task = { task: "create", port: stage.sources, consumers, callers, durationMs } as const;
    const { outcome, ...cpu } = await measure(stage, load, task);
    const found = await count(stage, consumers);
    if (found < outcome.count) throw new Error(`Of ${outcome.count} creates ${found} are stored`);
    bench.print({
      what: `creates accepted, ${callers} ${callers === 1 ? "caller" : "callers"}`,
      ...rate(outcome, outcome.endedAt),
      ...latency(outcome),
      ...perOperation(cpu, outcome),
    });
  }
}

async function measureDelivery(bench: Bench): Promise<void> {
  const { stage, durationMs } = bench;
  for (const callers of bench.callers > 0 ? [bench.callers] : [8, 32]) {
    await using load = await stage.startLoad();
    await using agents = await stage.startLoad();
    const consumers = await createConsumers(stage, `deliver-${callers}`);
    await agents.run({ task: "agents", port: stage.agents, consumers, answers: false });
    const before = stage.cpuMs();
    const outcome = await load.run({
      ...{ task: "create", port: stage.sources, consumers, callers, durationMs },
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
    bench.print({
      what: `creates delivered to ${CONSUMER_COUNT} agents, ${callers} callers`,
      ...rate(outcome, received.endedAt),
      ...latency(outcome),
      ...perOperation(difference(before, stage.cpuMs()), outcome),
    });
  }
}

async function measureReports(bench: Bench): Promise<void> {
  const { stage, durationMs } = bench;
  const repeated = Math.min(REPEATED_RESOURCES, bench.resources);
  const consumers = consumerNames("stored");
  for (const callers of bench.callers > 0 ? [bench.callers] : [8, 32]) {
    for (const resources of [bench.resources, repeated]) {
      await using load = await stage.startLoad();
      const stored = await storedReports(stage);
      const task = { task: "report", port: stage.agents, consumers, resources } as const;
      const { outcome, ...cpu } = await measure(stage, load, { ...task, callers, durationMs });
      const found = await storedReports(stage) - stored;
      if (found !== outcome.count) {
        throw new Error(`Of ${outcome.count} reports ${found} are stored`);
      }
      bench.print({
        what: `reports stored on ${resources} resources, ${callers} callers`,
        ...rate(outcome, outcome.endedAt),
        ...latency(outcome),
        ...perOperation(cpu, outcome),
      });
    }
  }
}

async function measureRoundTrip(bench: Bench): Promise<void> {
  const { stage, durationMs } = bench;
  await using load = await stage.startLoad();
  await using agents = await stage.startLoad();
  const consumers = await createConsumers(stage, "round-trip");
  await agents.run({ task: "agents", port: stage.agents, consumers, answers: true });
  const perSecond = ROUND_TRIPS_PER_SECOND;
  const task = { task: "round_trip", port: stage.sources, consumers, perSecond } as const;
  const { outcome, ...cpu } = await measure(stage, load, { ...task, durationMs });
  bench.print({
    what: `create to first status at ${perSecond}/s`,
    value: round(outcome.p50Ms),
    unit: "ms",
    ...latency(outcome),
    ...perOperation(cpu, outcome),
  });
}

type Cpu = ReturnType<Stage["cpuMs"]>;

async function measure(stage: Stage, load: Load, task: Task): Promise<Cpu & { outcome: Outcome }> {
  const before = stage.cpuMs();
  const outcome = await load.run(task);
  return { outcome, ...difference(before, stage.cpuMs()) };
}

function difference(before: Cpu, after: Cpu): Cpu {
  return { server: after.server - before.server, postgres: after.postgres - before.postgres };
}

function rate({ count, startedAt }: Outcome, endedAt: number) {
  return { value: Math.round(count / (endedAt - startedAt) * 1000), unit: "1/s" };
}

function latency({ p50Ms, p99Ms }: Outcome) {
  return { p50_ms: round(p50Ms), p99_ms: round(p99Ms) };
}

function perOperation({ server, postgres }: Cpu, { count, cpuMs }: Outcome) {
  return {
    server_cpu_ms: round(server / count),
    postgres_cpu_ms: round(postgres / count),
    callers_cpu_ms: round(cpuMs / count),
  };
}

function round(value: number): number {
  return Number(value.toFixed(value < 10 ? 3 : 1));
}

function consumerNames(prefix: string): string[] {
  return Array.from({ length: CONSUMER_COUNT }, (_, n) => `${prefix}-${n}`);
}

async function createConsumers({ rest }: Stage, prefix: string): Promise<string[]> {
  const names = consumerNames(prefix);
  for (const name of names) {
    const response = await fetch(`${rest}/api/maestro/v1/consumers`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    if (!response.ok) throw new Error(`Cannot create consumer "${name}": ${await response.text()}`);
  }
  return names;
}

async function count({ db }: Stage, consumers: string[]): Promise<number> {
  const text = "select count(*)::int as n from resources where consumer_name = any($1)";
  const [row] = await query<{ n: number }>(db, text, [consumers]);
  return row?.n ?? 0;
}

/** Each stored report has an entry in the change feed, and in no other way does one get there. */
async function storedReports({ db }: Stage): Promise<number> {
  const [row] = await query<{ n: number }>(db, "select count(*)::int as n from changes", []);
  return row?.n ?? 0;
}

function table(all: Measurement[]): string {
  const cells = [
    ["", "value", "", "p50 ms", "p99 ms", "server CPU ms", "PostgreSQL CPU ms", "callers CPU ms"],
    ...all.map((one) => [
      one.what,
      ...[one.value, one.unit, one.p50_ms ?? "", one.p99_ms ?? ""].map(String),
      ...[one.server_cpu_ms, one.postgres_cpu_ms, one.callers_cpu_ms].map(String),
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0))
  );
  const line = (row: string[]) =>
    row.map((cell, column) =>
      column === 0 || column === 2
        ? cell.padEnd(widths[column] ?? 0)
        : cell.padStart(widths[column] ?? 0)
    ).join("  ").trimEnd() + "\n";
  return cells.map(line).join("");
}

await main(process.argv.slice(2));
