/** The places that there are for watchers: who takes one, and who gives it back. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { eventually } from "../harness/eventually.ts";
import { openWatchDoors, watch } from "../harness/watch.ts";

test("beyond the most watchers the answer is 429; one that leaves makes room", async () => {
  await using doors = await openWatchDoors({ watchersMax: 1 });
  const one = await watch(doors.bundles);

  const refused = await watch(doors.bundles);
  await one[Symbol.asyncDispose]();
  const next = await eventually(async () => {
    const again = await watch(doors.bundles);
    await again[Symbol.asyncDispose]();
    return again.status;
  }, (status) => status === 200);

  expect(refused.status).toBe(429);
  expect(next).toBe(200);
});

test("a watch that opens after it was answered with 503 takes no place", async () => {
  await using doors = await openWatchDoors({ watchersMax: 1, requestTimeoutMs: 200 });
  const answered = Promise.withResolvers<void>();
  const holding = doors.db.begin(async (sql) => {
    await sql.unsafe("lock table feed in access exclusive mode");
    await answered.promise;
  });
  const isLocked = "select 1 from pg_locks where relation = 'feed'::regclass and granted";
  await eventually(async () => (await query(doors.db, isLocked, [])).length > 0);

  const late = await watch(doors.bundles);
  answered.resolve();
  await holding;
  const next = await eventually(async () => {
    const again = await watch(doors.bundles);
    await again[Symbol.asyncDispose]();
    return again.status;
  }, (status) => status === 200);

  expect([late.status, next]).toEqual([503, 200]);
});
