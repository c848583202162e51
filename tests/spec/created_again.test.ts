/** An id that is created again while its earlier life is still ending, or has not ended on the cluster. */

import { expect, test } from "bun:test";
import { clockNow } from "../../src/gen/queries.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { abandonResource } from "../../src/lib/spec/abandon.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { answerSpecResync, noteSpecResync } from "../../src/lib/spec/resync.ts";
import { createResourceWriter } from "../../src/lib/spec/write.ts";
import { createReportAcceptor, readReport, type Report } from "../../src/lib/status/accept.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { parseSpec } from "../../src/lib/wire/read_spec.ts";
import type { HeldVersion } from "../../src/lib/wire/resync.ts";
import { bundle, statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newResource, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

const report = (
  { consumer }: Specs,
  id: string,
  parts: { isDeleted?: boolean; version?: number } = {},
): Report => readReport(statusEvent({ id, consumerName: consumer, ...parts }), "maestro");

/** What an agent is sent that says what it holds. */
async function resync({ db, consumer }: Specs, held: HeldVersion[]): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const [row] = await clockNow(db);
  const noted = await noteSpecResync(db, {
    ...{ consumerName: consumer, dataType: MANIFEST_BUNDLES, held, range: { after: "" } },
    ...{ sourceId: "maestro", connectedAt: row?.now ?? "" },
  });
  const push = (event: CloudEvent) => void sent.push(event);
  const hasRoom = true;
  await answerSpecResync(db, { push, room: () => Promise.resolve(hasRoom) }, log, noted);
  return sent;
}

/** What the publisher finds to send. */
async function published({ db, consumer }: Specs): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const ready = new Map([[consumer, { name: consumer, connectedAt: "2000-01-01" }]]);
  const publish = (_: string, event: CloudEvent) => sent.push(event) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  await createSpecPublisher(db, publish, log, options).run();
  return sent;
}

test("M15: what is created while the deletion of its id commits is not taken for its earlier life", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = createReportAcceptor(specs.db, log);
  const late = report(specs, id);
  await specs.acceptor.delete({ id });
  const confirmed = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const confirming = specs.db.begin(async (tx) => {
    await createReportAcceptor(tx as unknown as Db, log)(report(specs, id, { isDeleted: true }));
    confirmed.resolve();
    await leave.promise;
  });
  await confirmed.promise;

  const create = () =>
    specs.acceptor.create(newResource(specs.consumer, { id }))
      .then(() => "created", ({ code }) => String(code));
  // Without an answer it would wait for the other transaction.
  const early = await Promise.race([create(), Bun.sleep(3_000)]);
  leave.resolve();
  await confirming;

  expect([early, await create()]).toEqual(["conflict", "created"]);
  expect(await accept(late)).toBe("stale");
});

async function abandon({ db }: Specs, id: string): Promise<void> {
  const who = { by: "ada", sourceId: "maestro", operationId: "1" };
  await abandonResource(db, log, { id, type: "Bundle", ...who });
}

/** A resource that an agent holds and somebody gave up, created again with another content. */
async function createdAgain(specs: Specs) {
  const { id } = await specs.create();
  const accept = createReportAcceptor(specs.db, log);
  await accept(report(specs, id));
  await abandon(specs, id);
  const again = newResource(specs.consumer, { id, spec: bundle("again") });
  const version = await specs.acceptor.create(again);
  return { id, accept, version };
}

test("what was abandoned and created again is sent to an agent that still holds the first life", async () => {
  await using specs = await openSpecs();
  const { id } = await createdAgain(specs);

  const sent = await resync(specs, [{ resourceId: id, version: 1 }]);

  expect(sent.map(({ data }) => data)).toEqual([bundle("again")]);
});

test("a report of an abandoned life is none of the life that was created since", async () => {
  await using specs = await openSpecs();
  const { id, accept, version } = await createdAgain(specs);

  const outcome = await accept(report(specs, id));

  expect(outcome).toBe("stale");
  expect(await published(specs)).toEqual([expect.objectContaining({ data: bundle("again") })]);
  expect(version).toBe(2);
  expect(await accept(report(specs, id, { version }))).toBe("stored");
});

test("who creates an abandoned id again is told the version that is stored", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await abandon(specs, id);
  const { db, acceptor, consumer: consumerName } = specs;
  const writer = createResourceWriter({ db, acceptor, sourceId: "maestro" });
  const draft = { consumerName, spec: parseSpec(MANIFEST_BUNDLES, bundle("again")) };

  const { row, outcome } = await writer.create({ id, draft }, { type: "Bundle" });

  const stored = await query(db, "select version, sent_version from resources", []);
  expect({ outcome, version: row.version }).toEqual({ outcome: "created", version: 2 });
  expect(stored).toEqual([{ version: 2, sent_version: 0 }]);
});
