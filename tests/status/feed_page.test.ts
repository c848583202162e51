/** What a page of the feed holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import type { Cursor } from "../../src/lib/status/cursor.ts";
import { readNow, readPage } from "../../src/lib/status/feed_page.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "../spec/specs.ts";

/** Resources with a report each, which a page would tell together; the place before them. */
async function reported(specs: Specs, count: number): Promise<Cursor> {
  const accept = createReportAcceptor(specs.db, testLogger());
  const from = await readNow(specs.db);
  for (let n = 0; n < count; n++) {
    const { id } = await specs.create();
    await accept(readReport(statusEvent({ id, consumerName: specs.consumer }), "maestro"));
  }
  return from;
}

/** The third begins below 8 MB, the fourth beyond. */
const LARGE = "json_build_object('text', repeat('abc', 1000000))";

// A status is compressed by PostgreSQL itself, a spec by lz4 or not at all.
test.each([["spec"], ["status"]])(
  "a page ends after 8 MB, however PostgreSQL stores each %s",
  async (column) => {
    await using specs = await openSpecs();
    const from = await reported(specs, 4);
    await query(specs.db, `update resources set ${column} = ${LARGE}`, []);

    const page = await readPage(specs.db, from, ["tests"]);
    const rest = await readPage(specs.db, page.next, ["tests"]);

    expect([page.changes.length, page.isLast]).toEqual([3, false]);
    expect([rest.changes.length, rest.isLast]).toEqual([1, true]);
  },
);

test("a watcher is told how long a consumer has been silent", async () => {
  await using specs = await openSpecs();
  const from = await reported(specs, 1);
  const silent = "update consumers set last_seen_at = now() - interval '100 s'";
  await query(specs.db, silent, []);

  const { changes } = await readPage(specs.db, from, undefined);

  const told = changes.find(({ kind }) => kind === "status");
  expect(told?.silent_seconds).toBeGreaterThanOrEqual(100);
});
