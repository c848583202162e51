/** What callers see while PostgreSQL is away, and how soon they see it again. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { describeError, MaestroError } from "../../src/lib/errors.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { query } from "../../src/lib/db/query.ts";
import { eventually } from "../harness/eventually.ts";
import { fastestFolder, testLogger } from "../harness/postgres.ts";

test("a restart of PostgreSQL is unavailable meanwhile, and over soon after", async () => {
  await using stack = new AsyncDisposableStack();
  const stateDirectory = mkdtempSync(join(fastestFolder(), "maestro-outage-"));
  stack.defer(() => rmSync(stateDirectory, { recursive: true, force: true }));
  const start = () => startEmbeddedPostgres({ stateDirectory, log: testLogger(), searchFrom: [] });
  const first = await start();
  const db = connect(first.address, { maxConnections: 4, applicationName: "test" });
  const heard: string[] = [];
  let subscriptions = 0;
  await db.listen("fruit", (text) => heard.push(text), () => subscriptions++);
  let isOver = false;
  const oddities: string[] = [];
  let unavailable = 0;
  const callers = [1, 2, 3, 4, 5, 6].map(async () => {
    while (!isOver) {
      try {
        await query(db, "select pg_sleep(0.005), $1::text as text", ["a"]);
      } catch (error) {
        if (error instanceof MaestroError && error.code === "unavailable") unavailable++;
        else oddities.push(describeError(error));
        await Bun.sleep(5);
      }
    }
  });

  await first[Symbol.asyncDispose]();
  await eventually(() => unavailable, (count) => count > 20);
  await using _second = await start();
  const began = performance.now();
  await query(db, "select 1", []).catch(() => query(db, "select 1", []));
  const stallMs = performance.now() - began;
  await eventually(() => subscriptions, (count) => count > 1);
  await query(db, "select pg_notify('fruit', 'apple')", []);
  await eventually(() => heard.includes("apple"));
  isOver = true;
  await Promise.all(callers);
  await db.end({ timeout: 1 });

  expect(oddities).toEqual([]);
  expect(stallMs).toBeLessThan(2_000);
}, 30_000);
