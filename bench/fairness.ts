/**
 * How long one consumer's backlog delays another: `bun bench/fairness.ts [--road grpc|mqtt] [--deletes 142000] [--resync 6000] [--runs 5]`.
 *
 * "M7": deletions wait in the outbox for one connected consumer, whose agent takes what it is sent and answers nothing; a
 * create for another consumer is accepted, and delivered. "M35": one consumer asks for all its resources, and while
 * the answer is under way a create for another is accepted and delivered. The server is a process of its own. A JSON
 * line for each, with the median, and the same create with nobody else busy.
 */

import { parseArgs } from "node:util";
import { query } from "../src/lib/db/query.ts";
import type { CloudEvent } from "../src/lib/wire/event.ts";
import { specEvent, specResync } from "../tests/harness/events.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { openPublisher } from "../tests/harness/grpc.ts";
import { type Ears, overGrpc, overMqtt } from "./agent_ears.ts";
import { describeMachine } from "./figure.ts";
import { openStage, type Stage } from "./stage.ts";
import { specText } from "./load/events.ts";

const { values } = parseArgs({
  options: {
    road: { type: "string", default: "grpc" },
    deletes: { type: "string", default: "142000" },
    resync: { type: "string", default: "6000" },
    runs: { type: "string", default: "5" },
  },
});
const { road } = values;
if (road !== "grpc" && road !== "mqtt") throw new Error("--road must be grpc or mqtt");
const PATIENCE = { timeoutMs: 120_000, intervalMs: 1 };

/** Resources of a consumer: sent and reported, or being deleted with a note in the outbox. */
async function fill(
  stage: Stage,
  consumer: string,
  count: number,
  kind: "living" | "deleting",
) {
  await query(
    stage.db,
    "with stored as (insert into resources (id, name, source, consumer_name, type, version, spec, " +
      "spec_hash, spec_event, observed_version, sent_version, deleted_at) " +
      "select id, id, 'bench', $1, 'Bundle', 1, $4::json, '', json_build_object('specversion', " +
      "'1.0', 'id', id, 'source', 'bench', 'type', 't'), 1, 1, case when $3::boolean then now() end " +
      "from (select gen_random_uuid()::text as id from generate_series(1, $2::int)) made " +
      "returning id, deleted_at) " +
      "insert into events (resource_id, consumer_name, is_deletion) " +
      "select id, $1, true from stored where deleted_at is not null",
    [consumer, count, kind === "deleting", specText()],
  );
}

async function addConsumer({ db }: Stage, name: string): Promise<string> {
  await query(db, "insert into consumers (id, name) values ($1, $1)", [name]);
  return name;
}

/** The milliseconds from the call that creates to the event at the agent. */
async function createToDelivery(
  stage: Stage,
  consumerName: string,
  runs = Number(values.runs),
): Promise<number[]> {
  await using agent = await listen(consumerName);
  using publisher = openPublisher(`127.0.0.1:${stage.sources}`);
  const taken: number[] = [];
  for (let run = 0; run < runs; run++) {
    const id = crypto.randomUUID();
    const began = performance.now();
    await publisher.publish(specEvent({ id, consumerName }));
    await hears(agent, ({ extensions }) => extensions["resourceid"] === id);
    taken.push(performance.now() - began);
  }
  return taken;
}

async function hears(agent: Ears, isIt: (event: CloudEvent) => boolean): Promise<void> {
  let looked = 0;
  const isThere = () => {
    const found = agent.events.slice(looked).some(isIt);
    looked = agent.events.length;
    return found;
  };
  await eventually(isThere, Boolean, PATIENCE);
}

function print(what: string, taken: number[], more: Record<string, unknown> = {}) {
  const sorted = taken.toSorted((one, other) => one - other).map((ms) => Math.round(ms));
  const [median, worst] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  const line = { bench: "fairness", road, what, unit: "ms", value: median, worst, ...more };
  process.stdout.write(`${JSON.stringify({ ...line, machine: describeMachine() })}\n`);
}

await using stage = await openStage({ road });
const listen = (road === "grpc" ? overGrpc : overMqtt)(stage.roadPort);
const quiet = await addConsumer(stage, "quiet");
print("create to delivery, nobody else busy", await createToDelivery(stage, quiet));

{
  const busy = await addConsumer(stage, "busy-resync");
  await fill(stage, busy, Number(values.resync), "living");
  const taken: number[] = [];
  const whole: number[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    await using agent = await listen(busy);
    const began = performance.now();
    await agent.publish(specResync(busy, []));
    await hears(agent, () => true);
    taken.push((await createToDelivery(stage, quiet, 1))[0] ?? 0);
    const isUnderWay = agent.events.length < Number(values.resync);
    while (agent.events.length < Number(values.resync)) await Bun.sleep(10);
    if (isUnderWay) whole.push(performance.now() - began);
  }
  const more = {
    n: Number(values.resync),
    under_way: whole.length,
    resync_ms: Math.round(whole[0] ?? 0),
  };
  print("M35: create to delivery during another's resync", taken, more);
}

{
  const busy = await addConsumer(stage, "busy-deletes");
  await fill(stage, busy, Number(values.deletes), "deleting");
  await using _agent = await listen(busy);
  const taken = await createToDelivery(stage, quiet);
  const [row] = await query<{ n: number }>(stage.db, "select count(*)::int as n from events", []);
  print("M7: create to delivery behind another's deletions", taken, {
    n: Number(values.deletes),
    still_waiting: row?.n,
  });
  const own = await createToDelivery(stage, busy);
  print("M7: create to delivery behind deletions of the same consumer", own);
}
