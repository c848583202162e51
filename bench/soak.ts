/**
 * Whether memory grows under a steady load: `bun bench/soak.ts [--minutes 60] [--persecond 150] [--agents 50]`.
 *
 * Resources are created, updated and deleted, as many as end begin, about half of what the machine can do; simulated agents
 * of one process apply and report. Every few seconds the memory of the server, of that process and of PostgreSQL
 * is looked at. Of each two minutes the least counts, which garbage does not move. A figure for each of the three: the slope in MB an
 * hour, without the first ten minutes (a third, of less than half an hour). It ends with 1 if a slope is above its promise.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import { childrenOf } from "../tests/harness/cpu.ts";
import { memoryOf } from "../tests/harness/memory.ts";
import { startAgent } from "../tests/harness/programs.ts";
import { printFigure, rounded } from "./figure.ts";
import { storeConsumers } from "./load/fleet.ts";
import { BENCHES } from "./promises.ts";
import type { Outcome } from "./load/summary.ts";
import { costOf, openStage } from "./stage.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    persecond: { type: "string", default: "150" },
    agents: { type: "string", default: "50" },
    directory: { type: "string" },
  },
});
const MINUTE_MS = 60_000;
const SAMPLE_MS = 5_000;
const minutes = Number(values.minutes);
const [agents, perSecond] = [Number(values.agents), Number(values.persecond)];
const leftOutMinutes = Math.min(10, minutes / 3);
/** Of an hour 25 are left. */
const windowMinutes = Math.min(2, minutes / 15);

const LATE = `
  select id, version, observed_version, status_version, applied_version, sent_version, attempts,
    now() - sent_at as sent_ago, next_send_at - now() as sent_again_in,
    now() - updated_at as changed_ago, now() - deleted_at as deleted_ago,
    (select count(*)::int from events) as events
  from resources
  where version <> observed_version or deleted_at is not null
  order by updated_at
  limit 5`;

interface Sample {
  minute: number;
  server: number;
  agent: number;
  postgres: number;
  /** All that is mapped; the others are what is their own. */
  serverRss: number;
}

await using stack = new AsyncDisposableStack();
const stage = stack.use(await openStage(values));
const PREFIX = "soak";
await storeConsumers(stage.db, `${PREFIX}-`, agents + 1);
const child = stack.use(
  await startAgent({
    consumerName: PREFIX,
    isFromSource: true,
    server: `127.0.0.1:${stage.agents}`,
    args: ["--simulate", String(agents), "--log-level", "info"],
  }),
);

const began = performance.now();
const samples: Sample[] = [];
const sampling = setInterval(() => samples.push(sample()), SAMPLE_MS);
stack.defer(() => clearInterval(sampling));
const telling = setInterval(() => tell(samples.at(-1)), MINUTE_MS);
stack.defer(() => clearInterval(telling));
const load = stack.use(await stage.startLoad());
const before = stage.cpuMs();
const outcome = await runLives().catch(async (error) => {
  const rows = await query(stage.db, LATE, []);
  throw new Error(`The longest without an answer are ${JSON.stringify(rows)}`, { cause: error });
});
const cost = costOf(stage, before, outcome);

let isGrowing = false;
for (const who of ["server", "agent", "postgres"] as const) {
  const floors = floorsOf(who);
  const value = slopePerMinute(floors) * 60;
  const promise = `soak-${who}`;
  isGrowing ||= value > limitOf(promise);
  printFigure({
    bench: "soak",
    promise,
    what: `growth of ${who}, ${perSecond} changes/s, ${agents} agents, ${minutes} minutes`,
    value,
    unit: "MB/h",
    floors_mb: floors.map(({ megabytes }) => rounded(megabytes)),
    server_rss_mb: rounded(samples.at(-1)?.serverRss ?? NaN),
    ...cost,
  });
}
await stack.disposeAsync();
process.exit(isGrowing ? 1 : 0);

async function runLives(): Promise<Outcome> {
  return await load.run({
    task: "lives",
    port: stage.sources,
    consumers: Array.from({ length: agents }, (_, n) => `${PREFIX}-${n + 1}`),
    perSecond,
    durationMs: minutes * MINUTE_MS,
  });
}

function sample(): Sample {
  const { own: server, now: serverRss } = memoryOf(stage.pid);
  // Shared buffers are of a fixed size, and fill up.
  const postgres = [stage.postgresPid, ...childrenOf(stage.postgresPid)]
    .reduce((sum, pid) => sum + ownOf(pid), 0);
  const minute = (performance.now() - began) / MINUTE_MS;
  return { minute, server, serverRss, agent: ownOf(child.pid), postgres };
}

/** 0 for one that has just ended. */
function ownOf(pid: number): number {
  try {
    return memoryOf(pid).own || 0;
  } catch {
    return 0;
  }
}

function tell(last: Sample | undefined): void {
  if (last === undefined) return;
  const shown = Object.entries(last).map(([name, value]) => `${name} ${rounded(value)}`);
  process.stderr.write(`${shown.join(", ")}\n`);
}

/** The least of each window, after what is left out. */
function floorsOf(who: "server" | "agent" | "postgres"): { minute: number; megabytes: number }[] {
  const kept = samples.filter(({ minute }) => minute > leftOutMinutes && minute < minutes);
  const windows = Map.groupBy(kept, ({ minute }) => Math.floor(minute / windowMinutes));
  return [...windows].map(([index, ofWindow]) => ({
    minute: index * windowMinutes,
    megabytes: Math.min(...ofWindow.map((one) => one[who])),
  }));
}

/** By least squares. */
function slopePerMinute(floors: { minute: number; megabytes: number }[]): number {
  const mean = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
  const at = mean(floors.map(({ minute }) => minute));
  const middle = mean(floors.map(({ megabytes }) => megabytes));
  const [rise, run] = floors.reduce(
    ([rise, run], { minute, megabytes }) => [
      rise + (minute - at) * (megabytes - middle),
      run + (minute - at) ** 2,
    ],
    [0, 0],
  );
  return rise / run;
}

function limitOf(id: string): number {
  const promised = BENCHES.flatMap(({ promises }) => promises).find((one) => one.id === id);
  return promised?.limit ?? 0;
}
