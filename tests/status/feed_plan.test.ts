/** What a reading of the feed costs, with the partitions of a day and a plan made without knowing anything. */

import { expect, test } from "bun:test";
import readText from "../../sql/queries/change/read.sql" with { type: "text" };
import { runScript } from "../../src/lib/db/query.ts";
import { openSpecs } from "../spec/specs.ts";

const HOURS = 26;

test(
  "a page after a cursor is found by index in each partition, under a generic plan without statistics",
  async () => {
    await using specs = await openSpecs();
    const hours = Array.from({ length: HOURS }, (_, index) => index - HOURS + 1);
    await runScript(
      specs.db,
      hours.map((hour) =>
        `create table changes_h${
          hour + HOURS
        } (like changes including defaults including constraints);
      do $$ begin
        execute format('alter table changes attach partition changes_h${
          hour + HOURS
        } for values from (%L) to (%L)',
          date_trunc('hour', now() + interval '${hour + 1} hours'),
          date_trunc('hour', now() + interval '${hour + 2} hours'));
      end $$;
      insert into changes (kind, resource_id, source, consumer_name, created_at, resource_created_at)
      select 'spec', n::text, 's', 'c', date_trunc('hour', now() + interval '${
          hour + 1
        } hours'), now()
      from generate_series(1, 4000) n;`
      ).join("\n"),
    );

    const { plan, buffers, ms } = await specs.db.begin(async (tx) => {
      await tx.unsafe("set local plan_cache_mode = force_generic_plan");
      await tx.unsafe(`prepare page (text, bigint, text[]) as ${readText}`);
      const [now] = await tx.unsafe("select pg_snapshot_xmin(pg_current_snapshot())::text as xid");
      const explain = `explain (analyze, buffers, format text) execute page ('${
        now?.["xid"]
      }', 0, null)`;
      const rows = await tx.unsafe(explain);
      const text = rows.map((row) => row["QUERY PLAN"]).join("\n");
      await tx.unsafe("deallocate page");
      return {
        plan: text,
        buffers: Number(/Buffers: shared hit=(\d+)/.exec(text)?.[1]),
        ms: /Execution Time: (.*) ms/.exec(text)?.[1],
      };
    });

    expect(plan).toContain("Merge Append");
    expect(plan).not.toContain("Seq Scan on changes");
    // Beyond 100,000 (jit_above_cost) each reading would be compiled first.
    expect(Number(/cost=[\d.]+\.\.([\d.]+)/.exec(plan)?.[1])).toBeLessThan(50_000);
    // Two or three pages of each partition's index, some of the tables, and the few of `feed_epoch()`.
    expect(`${buffers < 250} (${buffers} buffers, ${ms} ms)`).toStartWith("true");
  },
  60_000,
);
