/** Statements that lock many resources: all in the same order, so that no two of them wait for each other. */

import { expect, test } from "bun:test";
import * as q from "../../src/gen/queries.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();
const LATER = "2100-01-01T00:00:00Z";
/** Stored the other way round. */
const IDS = ["a", "b"];

const both = (change: (id: string) => Promise<unknown>) =>
  Promise.all(IDS.toReversed().map(change));

const LOCKING: Record<string, (specs: Specs) => Promise<unknown>> = {
  "an update": ({ acceptor }) => both((id) => acceptor.update(newUpdate(id, 1, "2"))),
  "a deletion": ({ acceptor }) => both((id) => acceptor.delete({ id })),
  "a report": ({ db, consumer }) => {
    const accept = createReportAcceptor(db, log);
    const report = (id: string) =>
      readReport(statusEvent({ id, consumerName: consumer }), "maestro");
    return both((id) => accept(report(id)));
  },
  "the publisher": ({ db, consumer }) => q.specEventClaim(db, [consumer], [false], 50, 500),
  "a resync": ({ db }) => q.resourceClaimResync(db, IDS, LATER, []),
  "a brief resync": ({ db, consumer }) =>
    q.resourceClaimPending(db, [consumer], [LATER], [MANIFEST_BUNDLES], [""], [""], 50),
};

async function isFree(db: Db, id: string): Promise<boolean> {
  const text = "select from resources where id = $1 for no key update skip locked";
  return (await query(db, text, [id])).length === 1;
}

for (const [name, lock] of Object.entries(LOCKING)) {
  test(`${name} that waits for a resource holds none that comes later`, async () => {
    await using specs = await openSpecs();
    for (const id of IDS.toReversed()) await specs.create({ id });
    const entered = Promise.withResolvers<void>();
    const leave = Promise.withResolvers<void>();
    const other = specs.db.begin(async (tx) => {
      await tx.unsafe("select from resources where id = 'a' for no key update");
      entered.resolve();
      await leave.promise;
    });
    await entered.promise;

    const locking = lock(specs);
    const waiting = "select from pg_stat_activity " +
      "where datname = current_database() and wait_event_type = 'Lock'";
    await eventually(async () => (await query(specs.db, waiting, [])).length > 0);
    const isLaterFree = await isFree(specs.db, "b");
    leave.resolve();
    await Promise.all([other, locking]);

    expect(isLaterFree).toBeTrue();
  });
}
