/** What PostgreSQL can store alone: the rows of a create, resource and event, as one statement for fifty of them. */

import { connect } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";
import { SOURCE, specText } from "./load/events.ts";
import type { Stage } from "./stage.ts";

const ROWS = 50;
const CONNECTIONS = 8;

/** Stores rows until the time is over; the CPU time is PostgreSQL's, for each row. */
export async function measureCeiling(
  { address, cpuMs }: Stage,
  { specBytes, durationMs }: { specBytes: number; durationMs: number },
): Promise<{ value: number; n: number; postgres_cpu_ms: number }> {
  const db = connect(address, { maxConnections: CONNECTIONS, applicationName: "ceiling" });
  await query(db, "insert into consumers (id, name) values ('ceiling', 'ceiling')", []);
  const spec = specText(specBytes);
  const before = cpuMs().postgres;
  const startedAt = performance.now();
  let stored = 0;
  const store = async () => {
    while (performance.now() - startedAt < durationMs) {
      const ids = Array.from({ length: ROWS }, () => crypto.randomUUID());
      await query(db, STORE, [ids, SOURCE, ids.map(() => spec)]);
      stored += ROWS;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, store));
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = cpuMs().postgres - before;
  await db.end({ timeout: 5 });
  return { value: stored / seconds, n: stored, postgres_cpu_ms: cpu / stored };
}

const STORE = `
  with stored as (
    insert into resources (
      id, name, source, consumer_name, type, version, spec, spec_hash, spec_event, metadata
    )
    select id, id, $2::text, 'ceiling', 'Bundle', 1, spec::json, '',
      json_build_object('specversion', '1.0', 'id', id, 'source', $2::text, 'type', 't'),
      jsonb_build_object('name', id)
    from unnest($1::text[], $3::text[]) as input (id, spec)
    returning id, consumer_name
  )
  insert into events (resource_id, consumer_name, is_deletion)
  select id, consumer_name, false from stored`;
