/** Many consumers with many resources that are applied already, and an agent for each. */

import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import type { Load, Stage } from "../stage.ts";
import { SOURCE, specText } from "./events.ts";

const FILLED_AT_ONCE = 20_000;

// Each with a status that says it is applied, of the size that agents send.
const FILL = `
  insert into resources (
    id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata,
    observed_version, applied_version, status, status_hash
  )
  select id, id, $4::text, $6 || n % $3::int, 'Bundle', 1, $5::text::json, '',
    json_build_object('specversion', '1.0', 'id', id, 'source', $4::text, 'type', 't'),
    jsonb_build_object('name', id), 1, 1,
    json_build_object('conditions', '[]'::json, 'padding', repeat(md5(id), 40)), md5(id)
  from (
    select n, md5('resource ' || n)::uuid::text as id from generate_series($1::int, $2::int) n
  ) made`;

/** Stores consumers: the prefix, and a number from 0 on. Resolves to their names. */
export async function storeConsumers(db: Db, prefix: string, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
  const text = "insert into consumers (id, name) select name, name from unnest($1::text[]) name " +
    "on conflict do nothing";
  await query(db, text, [names]);
  return names;
}

/** Stores the resources from one number up to another, in turns for these consumers. */
export async function storeResources(
  db: Db,
  { prefix, consumers, from, to }: { prefix: string; consumers: number; from: number; to: number },
): Promise<void> {
  for (let first = from; first < to; first += FILLED_AT_ONCE) {
    const last = Math.min(first + FILLED_AT_ONCE, to) - 1;
    await query(db, FILL, [first, last, consumers, SOURCE, specText(), prefix]);
  }
  await query(db, "analyze", []);
}

/** Connects an agent for each, in so many processes that end with the stack. */
export async function connectAgents(
  stage: Stage,
  stack: AsyncDisposableStack,
  consumers: string[],
  processes: number,
): Promise<void> {
  const size = Math.ceil(consumers.length / processes);
  const connecting: Promise<unknown>[] = [];
  for (let from = 0; from < consumers.length; from += size) {
    const generator: Load = stack.use(await stage.startLoad());
    const own = consumers.slice(from, from + size);
    const task = { task: "agents", road: "grpc", port: stage.agents } as const;
    connecting.push(generator.run({ ...task, consumers: own, answers: true }));
  }
  await Promise.all(connecting);
}
