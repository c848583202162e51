/** How much waits in the outbox, and that what must wait there does. */

import { expect, test } from "bun:test";
import { resourceLose, resourceObserve } from "../../src/gen/queries.ts";
import { query } from "../../src/lib/db/query.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

/** One turn of the publisher; what it sent. */
async function turn({ db, consumer: name }: Specs): Promise<CloudEvent["extensions"][]> {
  const sent: CloudEvent[] = [];
  const ready = new Map([[name, { name, connectedAt: "2000-01-01" }]]);
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  await createSpecPublisher(db, (_, event) => sent.push(event) > 0, log, options).run();
  return sent.map(({ extensions }) => extensions);
}

test("I10: whatever changes for a consumer that is away waits once for each resource", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  for (let version = 1; version < 20; version++) {
    await specs.acceptor.update(newUpdate(id, version, `v${version}`));
  }

  const waiting = await query(specs.db, "select from events", []);
  const first = await turn(specs);
  await specs.acceptor.update(newUpdate(id, 20, "again"));
  const second = await turn(specs);

  expect(waiting).toHaveLength(1);
  expect([...first, ...second].map((sent) => sent[EXT.resourceVersion])).toEqual([20, 21]);
});

test("an update is noted again if nothing waits for it, though the one before was never sent", async () => {
  await using specs = await openSpecs();
  const [observed, lost] = [await specs.create(), await specs.create()];
  await turn(specs);
  const seen = statusEvent({ id: lost.id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(seen, "maestro"));
  await specs.acceptor.update(newUpdate(observed.id, 1, "2"));
  // One is held, as its agent says in a list, before it is sent. The other is lost, as that list says.
  await resourceObserve(specs.db, [observed.id], [2]);
  await turn(specs);
  await resourceLose(specs.db, specs.consumer, [observed.id], [2], "", null, MANIFEST_BUNDLES);
  await query(specs.db, "update resources set next_send_at = now() - interval '1 s'", []);

  await specs.acceptor.update(newUpdate(observed.id, 2, "3"));
  await specs.acceptor.update(newUpdate(lost.id, 1, "2"));
  const sent = await turn(specs);

  const ids = sent.map((extensions) => extensions[EXT.resourceId]);
  expect(ids.toSorted()).toEqual([observed.id, lost.id].toSorted());
});
