/** What a source is sent when it says which statuses it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { answerStatusResync } from "../../src/lib/status/resync.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import type { HeldStatus } from "../../src/lib/wire/resync.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "../spec/specs.ts";

async function resync(specs: Specs, held: HeldStatus[], source = "tests"): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const deliver = (event: CloudEvent) => Promise.resolve(sent.push(event) > 0);
  await answerStatusResync(specs.db, deliver, source, held);
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
