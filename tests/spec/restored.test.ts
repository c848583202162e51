/** What happens when the database was restored from a backup, and its agents hold later versions. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { answerSpecResync, noteSpecResync } from "../../src/lib/spec/resync.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import {
  type CloudEvent,
  EXT,
  MANIFEST_BUNDLES,
  RESOURCE_VERSION_MAX,
} from "../../src/lib/wire/event.ts";
import { decodeSpecResync, encodeSpecResync, type HeldVersion } from "../../src/lib/wire/resync.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const HAS_ROOM = true;

interface Answer {
  sent: CloudEvent[];
  lines: string[];
}

async function resync(specs: Specs, held: HeldVersion[], consumerName = specs.consumer) {
  const answer: Answer = { sent: [], lines: [] };
  const [row] = await query<{ now: string }>(specs.db, "select clock_timestamp() as now", []);
  const noted = await noteSpecResync(specs.db, {
    consumerName,
    dataType: MANIFEST_BUNDLES,
    // Over the wire and back.
    held: decodeSpecResync(encodeSpecResync(held)),
    range: { after: "" },
    sourceId: "maestro",
    connectedAt: row?.now ?? "",
  });
  const delivery = {
    push: (event: CloudEvent) => void answer.sent.push(event),
    room: () => Promise.resolve(HAS_ROOM),
  };
  const log = testLogger((line) => void answer.lines.push(line));
  await answerSpecResync(specs.db, delivery, log, noted);
  return answer;
}

const versions = ({ sent }: Answer) =>
  sent.map(({ extensions }) => extensions[EXT.resourceVersion]);

async function report(specs: Specs, id: string, version: number): Promise<void> {
  const event = statusEvent({ id, version, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, testLogger())(readReport(event, "maestro"));
}

async function stored({ db }: Specs, id: string) {
  const [row] = await query<{ version: number; observed_version: number; writes: string }>(
    db,
    "select version, observed_version, xmin::text as writes from resources where id = $1",
    [id],
  );
  return row;
}

test("a change that was asked for after a restore gets a version above the one that the agent holds", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await report(specs, id, 1);
  await specs.acceptor.update(newUpdate(id, 1, "after"));

  const answer = await resync(specs, [{ resourceId: id, version: 9 }]);

  expect(versions(answer)).toEqual([10]);
  expect(answer.sent[0]?.data).toContain('"value":"after"');
  expect(answer.lines.join()).toContain('"new_version":10');
  await report(specs, id, 10);
  expect(await stored(specs, id)).toMatchObject({ version: 10, observed_version: 10 });
  await expect(specs.acceptor.update(newUpdate(id, 2, "old")))
    .rejects.toThrow("the resource version is not the latest, the latest version: 10");
});

test("a resource that was created again after a restore overtakes what the agent holds of that id", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  expect(versions(await resync(specs, [{ resourceId: id, version: 5 }]))).toEqual([6]);
});

test("I6: what nobody changed after a restore is left alone, on both sides, and told once per resync", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await report(specs, id, 1);
  const before = await stored(specs, id);

  const running = await resync(specs, [{ resourceId: id, version: 9 }]);
  const restarted = await resync(specs, [{ resourceId: id, version: 9, lacksSpec: true }]);

  expect([...running.sent, ...restarted.sent]).toEqual([]);
  expect(await stored(specs, id)).toEqual(before);
  const told = running.lines.filter((line) => line.includes("this server does not know"));
  expect(told).toEqual([expect.stringContaining('"later_versions":1')]);
});

test("a change after a restore also overtakes an agent that has restarted since", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await report(specs, id, 1);
  await specs.acceptor.update(newUpdate(id, 1, "after"));

  expect(versions(await resync(specs, [{ resourceId: id, version: 9, lacksSpec: true }])))
    .toEqual([10]);
});

test("a deletion after a restore is a deletion, whatever version the agent holds", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });

  const { sent } = await resync(specs, [{ resourceId: id, version: 9 }]);

  expect(sent).toHaveLength(1);
  expect(sent[0]?.extensions).toMatchObject({ resourceversion: 1 });
  expect(sent[0]?.extensions[EXT.deletionTimestamp]).toBeString();
});

test("no agent overtakes another consumer's resource, and none goes beyond what peers can hold", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const { name } = await specs.addConsumer();

  await resync(specs, [{ resourceId: id, version: 9 }], name);
  await resync(specs, [{ resourceId: id, version: RESOURCE_VERSION_MAX }]);

  expect(await stored(specs, id)).toMatchObject({ version: 1 });
});

test("resources that only the agent knows are counted, and stay", async () => {
  await using specs = await openSpecs();
  const held = ["a", "b", "c"].map((resourceId) => ({ resourceId, version: 2 }));

  const { sent, lines } = await resync(specs, held);

  expect(sent).toEqual([]);
  const told = lines.filter((line) => line.includes("this server does not know"));
  expect(told).toEqual([expect.stringContaining('"resources":3')]);
});

test("a restarted agent gets the spec that it lacks once, and nothing waits for its report", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await report(specs, id, 1);
  const log = testLogger();

  const answer = await resync(specs, [{ resourceId: id, version: 1, lacksSpec: true }]);

  const ready = new Map([[specs.consumer, {
    name: specs.consumer,
    connectedAt: new Date(Date.now() + 60_000).toISOString(),
  }]]);
  const again: CloudEvent[] = [];
  const keep = (_: string, event: CloudEvent) => again.push(event) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 3_600_000 };
  await createSpecRedelivery(specs.db, keep, log, options).run();
  expect(versions(answer)).toEqual([1]);
  expect(again).toEqual([]);
  expect(await stored(specs, id)).toMatchObject({ version: 1, observed_version: 1 });
});
