/** What a source is sent when it says which statuses it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { createFeed } from "../../src/lib/status/feed.ts";
import { answerStatusResync } from "../../src/lib/status/resync.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import type { HeldStatus } from "../../src/lib/wire/resync.ts";
import { nextSequence, statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "../spec/specs.ts";

const HAS_ROOM = true;

async function resync(specs: Specs, held: HeldStatus[], source = "tests"): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const asking = {
    tell: (event: CloudEvent) => void sent.push(event),
    caughtUp: () => Promise.resolve(HAS_ROOM),
  };
  const request = { source, held, dataType: MANIFEST_BUNDLES, sourceId: "maestro" };
  await answerStatusResync(specs.db, createFeed(specs.db), asking, request);
  return sent;
}

/** A resource with a status of this hash. */
async function createReported(specs: Specs, hash: string, source = "tests"): Promise<string> {
  const { id } = await specs.create({ source });
  const extensions = { statushash: hash };
  const event = statusEvent({ id, consumerName: specs.consumer, extensions });
  await createReportAcceptor(specs.db, testLogger())(readReport(event, "maestro"));
  return id;
}

/** Deletes a resource as its source and its agent do. */
async function bury(specs: Specs, id: string, sequence = nextSequence()): Promise<void> {
  await specs.acceptor.delete({ id });
  const gone = statusEvent({ id, consumerName: specs.consumer, sequence, isDeleted: true });
  await createReportAcceptor(specs.db, testLogger())(readReport(gone, "maestro"));
}

const ids = (events: CloudEvent[]) => events.map((event) => event.extensions["resourceid"]);

test("a source that holds the same hash is sent nothing", async () => {
  await using specs = await openSpecs();
  const id = await createReported(specs, "same");

  expect(await resync(specs, [{ resourceId: id, hash: "same" }])).toEqual([]);
});

test("a source that holds another hash is sent the stored event as it is", async () => {
  await using specs = await openSpecs();
  const id = await createReported(specs, "new");

  const sent = await resync(specs, [{ resourceId: id, hash: "old" }]);

  expect(ids(sent)).toEqual([id]);
  expect(sent[0]).toMatchObject({
    type: expect.stringMatching(/\.status\.update_request$/),
    extensions: { statushash: "new", resourceversion: 1 },
  });
});

test("a source that lists nothing is sent all that is its own and has a status", async () => {
  await using specs = await openSpecs();
  const own = [await createReported(specs, "a"), await createReported(specs, "b")];
  await createReported(specs, "c", "others");
  await specs.create();

  expect(ids(await resync(specs, [])).toSorted()).toEqual(own.toSorted());
});

test("what a source does not list is not sent, as it has no use for it", async () => {
  await using specs = await openSpecs();
  const [one, _] = [await createReported(specs, "a"), await createReported(specs, "b")];

  expect(ids(await resync(specs, [{ resourceId: one, hash: "old" }]))).toEqual([one]);
});

test("M14: a source that was away when its resource was deleted is told on its return", async () => {
  await using specs = await openSpecs();
  const buried = await createReported(specs, "a");
  const foreign = await createReported(specs, "b", "others");
  const sequence = nextSequence();
  for (const id of [buried, foreign]) await bury(specs, id, sequence);
  const held = [buried, foreign, "unheard-of"].map((resourceId) => ({ resourceId, hash: "a" }));

  const sent = await resync(specs, held);

  expect(ids(sent)).toEqual([buried]);
  expect(sent[0]).toMatchObject({
    source: "maestro",
    type: `${MANIFEST_BUNDLES}.status.resync_response`,
    datacontenttype: "application/json",
    extensions: {
      resourceversion: 1,
      clustername: specs.consumer,
      originalsource: "maestro",
      sequenceid: sequence,
    },
  });
  expect(JSON.parse(sent[0]?.data ?? "").conditions).toEqual([{
    type: "Deleted",
    status: "True",
    lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    reason: "ManifestsDeleted",
    message: `The manifests are deleted from the cluster ${specs.consumer}`,
  }]);
});

test("an id that its source has created again, even meanwhile, is not told as deleted", async () => {
  await using specs = await openSpecs();
  const other = await createReported(specs, "new");
  const [before, meanwhile] = [await specs.create(), await specs.create()];
  for (const { id } of [before, meanwhile]) await bury(specs, id);
  await specs.acceptor.create(before);
  const held = [other, before.id, meanwhile.id].map((resourceId) => ({ resourceId, hash: "old" }));
  const sent: CloudEvent[] = [];
  let created: Promise<unknown> | undefined;
  const asking = {
    tell: (event: CloudEvent) => void sent.push(event),
    // Its page has been read by then.
    caughtUp: async () => {
      await (created ??= specs.acceptor.create(meanwhile));
      return true;
    },
  };

  const request = { source: "tests", held, dataType: MANIFEST_BUNDLES, sourceId: "maestro" };
  await answerStatusResync(specs.db, createFeed(specs.db), asking, request);

  expect(ids(sent)).toEqual([other]);
});

test("what is being deleted is not told as deleted before its agent says so", async () => {
  await using specs = await openSpecs();
  const id = await createReported(specs, "same");
  await specs.acceptor.delete({ id });

  expect(await resync(specs, [{ resourceId: id, hash: "same" }])).toEqual([]);
});

test("more deletions than one look-up takes are all told", async () => {
  await using specs = await openSpecs();
  await query(
    specs.db,
    `insert into tombstones (id, source, consumer_name, version, deleted_at)
     select 'gone-' || n, 'tests', $1, 1, now() from generate_series(1, 2500) n`,
    [specs.consumer],
  );
  const held = Array.from({ length: 2_500 }, (_, index) => ({
    resourceId: `gone-${index + 1}`,
    hash: "a",
  }));

  const sent = await resync(specs, held);

  expect(ids(sent).toSorted()).toEqual(held.map(({ resourceId }) => resourceId).toSorted());
});

test("a status resync over several pages sends each status once", async () => {
  await using specs = await openSpecs();
  await query(
    specs.db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event, status, status_event) select 'r-' || to_char(n, 'FM0000'), n::text, 'tests', " +
      "$1, 'Bundle', 2, '{}', '', '{}', '{}', " +
      `('{"specversion":"1.0","id":"a","source":"s","type":"t","resourceid":"' || n || '"}')::json ` +
      "from generate_series(1, 345) n",
    [specs.consumer],
  );

  const sent = ids(await resync(specs, []));

  expect(sent).toEqual(Array.from({ length: 345 }, (_, index) => `${index + 1}`));
});
