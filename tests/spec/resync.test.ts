/** What an agent is sent when it says what it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { answerSpecResync, noteSpecResync } from "../../src/lib/spec/resync.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import type { HeldVersion, ResyncRange } from "../../src/lib/wire/resync.ts";
import { NO_STATUS_HASH } from "../../src/lib/wire/status_hash.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const HAS_ROOM = true;
const IS_GONE = false;

const log = testLogger();

interface Options {
  consumerName?: string;
  connectedAt?: string;
  range?: ResyncRange;
  dataType?: string;
  /** Where the events go, if the test wants them in an order with others. */
  sent?: CloudEvent[];
  /** Called when the answer waits for the agent. */
  room?: () => Promise<boolean>;
}

/** Asks as an agent that has just connected, unless the time says something else. */
async function resync(
  specs: Specs,
  held: HeldVersion[],
  options: Options = {},
): Promise<CloudEvent[]> {
  const { sent = [], room = () => Promise.resolve(HAS_ROOM) } = options;
  const noted = await noteSpecResync(specs.db, {
    consumerName: options.consumerName ?? specs.consumer,
    dataType: options.dataType ?? MANIFEST_BUNDLES,
    held,
    range: options.range ?? { after: "" },
    sourceId: "maestro",
    connectedAt: options.connectedAt ?? await now(specs),
  });
  const push = (event: CloudEvent) => void sent.push(event);
  await answerSpecResync(specs.db, { push, room }, log, noted);
  return sent;
}

async function now({ db }: Specs): Promise<string> {
  const [row] = await query<{ now: string }>(db, "select clock_timestamp() as now", []);
  return row?.now ?? "";
}

/** Sends what waits, as the publisher would. */
async function publishAll(specs: Specs, sent: CloudEvent[] = []): Promise<string[]> {
  const ready = new Map([[specs.consumer, { name: specs.consumer, connectedAt: "" }]]);
  const keep = (_: string, event: CloudEvent) => sent.push(event) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  const publisher = createSpecPublisher(specs.db, keep, log, options);
  while (await publisher.run());
  return ids(sent);
}

async function observedVersion({ db }: Specs, id: string): Promise<number | undefined> {
  const text = "select observed_version as version from resources where id = $1";
  return (await query<{ version: number }>(db, text, [id]))[0]?.version;
}

/** A resource whose deletion its agent has confirmed. */
async function createBuried(specs: Specs): Promise<string> {
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });
  const gone = statusEvent({ id, consumerName: specs.consumer, isDeleted: true });
  await createReportAcceptor(specs.db, log)(readReport(gone, "maestro"));
  return id;
}

/** Which resources are sent; a question about statuses, which may follow, is about none. */
const ids = (events: CloudEvent[]) =>
  events.flatMap(({ extensions }) => extensions[EXT.resourceId] ?? []).map(String);

test("an agent that is up to date is sent nothing, and what it holds is noted", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await publishAll(specs);

  expect(await resync(specs, [{ resourceId: id, version: 1 }])).toEqual([]);
  expect(await observedVersion(specs, id)).toBe(1);
});

test("an agent that is behind is sent the stored version as a resync response", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  await publishAll(specs);

  const sent = await resync(specs, [{ resourceId: id, version: 1 }]);

  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({
    source: "maestro",
    type: expect.stringMatching(/\.spec\.resync_response$/),
    extensions: { resourceid: id, resourceversion: 2, clustername: specs.consumer },
  });
  expect(sent[0]?.data).toContain('"value":"2"');
});

test("an agent that claims a later version than the stored one keeps it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await publishAll(specs);
  const report = statusEvent({ id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));

  expect(await resync(specs, [{ resourceId: id, version: 9 }])).toEqual([]);
});

test("an agent that knows nothing is sent everything of its consumer, and nothing of others", async () => {
  await using specs = await openSpecs();
  const created = [await specs.create(), await specs.create(), await specs.create()];
  const { name } = await specs.addConsumer();
  await specs.create({ consumerName: name });
  await publishAll(specs);

  const sent = await resync(specs, []);

  expect(ids(sent).toSorted()).toEqual(created.map(({ id }) => id).toSorted());
});

test("what is being deleted is sent whatever the agent holds", async () => {
  await using specs = await openSpecs();
  const [one, other] = [await specs.create(), await specs.create()];
  await specs.acceptor.delete({ id: one.id });
  await specs.acceptor.delete({ id: other.id });
  await publishAll(specs);

  const sent = await resync(specs, [{ resourceId: one.id, version: 1 }]);

  expect(ids(sent).toSorted()).toEqual([one.id, other.id].toSorted());
  for (const { extensions } of sent) expect(extensions["deletiontimestamp"]).toBeString();
});

test("I6: an id that the server has never heard of is left alone", async () => {
  await using specs = await openSpecs();

  expect(await resync(specs, [{ resourceId: "unheard-of", version: 7 }])).toEqual([]);
});

test("I6: what an agent only asks about is sent if it is there, deleted if that is known, and else left alone", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const buried = await createBuried(specs);
  const asked = [id, buried, crypto.randomUUID()];

  const sent = await resync(specs, asked.map((resourceId) => ({ resourceId, version: 0 })));

  const told = sent.map(({ extensions, data }) => [extensions[EXT.resourceId], data !== undefined]);
  expect(told).toEqual([[id, true], [buried, false]]);
  // By its time an agent knows that it is no guess of a peer's.
  expect(sent[1]?.extensions).toContainKeys([EXT.deletionTimestamp, EXT.readAt]);
});

test("I6: a server that was restored from an old backup, or is empty, deletes nothing", async () => {
  await using specs = await openSpecs();
  const created = [await specs.create(), await specs.create()];
  await query(specs.db, "truncate resources, events, tombstones, changes", []);

  const held = created.map(({ id }) => ({ resourceId: id, version: 1 }));

  expect(await resync(specs, held)).toEqual([]);
});

test("what is known to be deleted is deleted, with its version and from our source", async () => {
  await using specs = await openSpecs();
  const id = await createBuried(specs);

  const sent = await resync(specs, [{ resourceId: id, version: 7 }]);

  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({
    source: "maestro",
    type: expect.stringMatching(/\.spec\.resync_response$/),
    extensions: {
      resourceid: id,
      resourceversion: 7,
      clustername: specs.consumer,
      originalsource: "",
      deletiontimestamp: expect.any(String),
    },
  });
  expect(sent[0]).not.toContainAnyKeys(["data", "datacontenttype"]);
});

test("a tombstone of one consumer deletes nothing on another", async () => {
  await using specs = await openSpecs();
  const id = await createBuried(specs);
  const { name } = await specs.addConsumer();

  expect(await resync(specs, [{ resourceId: id, version: 1 }], { consumerName: name })).toEqual([]);
});

test("an id that lives again elsewhere is not deleted by its old tombstone", async () => {
  await using specs = await openSpecs();
  const id = await createBuried(specs);
  const { name } = await specs.addConsumer();
  await specs.create({ id, consumerName: name });

  expect(await resync(specs, [{ resourceId: id, version: 1 }])).toEqual([]);
});

test("what was sent since the connection was made is not sent twice", async () => {
  await using specs = await openSpecs();
  const connectedAt = await now(specs);
  const { id } = await specs.create();
  await publishAll(specs);

  const first = await resync(specs, [], { connectedAt });
  const afterReconnect = await resync(specs, []);
  const again = await resync(specs, [], { connectedAt });

  expect([first, ids(afterReconnect), again]).toEqual([[], [id], []]);
});

test("what the publisher sends during a resync is not sent by the resync as well", async () => {
  await using specs = await openSpecs();
  const created = await Promise.all(Array.from({ length: 150 }, () => specs.create()));
  let published: string[] | undefined;

  const resynced = await resync(specs, [], {
    // The first fifty are claimed by now, the rest is known to be due but not yet claimed.
    room: async () => {
      published ??= await publishAll(specs);
      return true;
    },
  });

  expect(resynced).toHaveLength(50);
  expect([...ids(resynced), ...published ?? []].toSorted()).toEqual(
    created.map(({ id }) => id).toSorted(),
  );
});

test("I3: an update that is sent while a slow agent is answered comes after what it updates", async () => {
  await using specs = await openSpecs();
  const created = await Promise.all(Array.from({ length: 20 }, () => specs.create()));
  const updated = created.map(({ id }) => id).toSorted().at(-1) ?? "";
  const sent: CloudEvent[] = [];
  let published: string[] | undefined;

  await resync(specs, [], {
    sent,
    room: async () => {
      if (published === undefined) {
        await specs.acceptor.update(newUpdate(updated, 1, "new"));
        published = await publishAll(specs, sent);
      }
      return true;
    },
  });

  const versions = sent.filter(({ extensions }) => extensions["resourceid"] === updated)
    .map(({ extensions }) => extensions["resourceversion"]);
  expect(versions).toEqual([1, 2]);
});

test("what an agent has reported and then lost is sent again, on the same connection too", async () => {
  await using specs = await openSpecs();
  const connectedAt = await now(specs);
  const { id } = await specs.create();
  await publishAll(specs);
  const report = statusEvent({ id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));

  const [spec] = await resync(specs, [], { connectedAt });

  expect(spec?.extensions["resourceid"]).toBe(id);
});

test("what was just reported is asked for again, as the report may be newer than the list", async () => {
  await using specs = await openSpecs();
  const [fresh, old] = [await specs.create(), await specs.create()];
  for (const { id } of [fresh, old]) {
    const report = statusEvent({ id, consumerName: specs.consumer });
    await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));
  }
  const past = "update resources set updated_at = now() - interval '1 h' where id = $1";
  await query(specs.db, past, [old.id]);

  const sent = await resync(specs, []);

  expect(sent).toHaveLength(3);
  expect(sent.at(-1)).toMatchObject({
    type: `${MANIFEST_BUNDLES}.status.resync_request`,
    data: JSON.stringify({ statusHashes: [{ resourceID: fresh.id, statusHash: NO_STATUS_HASH }] }),
  });
});

test("what an agent reports while its question is answered stays reported", async () => {
  await using specs = await openSpecs();
  const created = await Promise.all(Array.from({ length: 101 }, () => specs.create()));
  const last = created.map(({ id }) => id).toSorted().at(-1) ?? "";
  const accept = createReportAcceptor(specs.db, log);

  // It was sent by somebody else, and comes back before the answer gets to it.
  const sent = await resync(specs, [], {
    room: async () => {
      const report = statusEvent({ id: last, consumerName: specs.consumer });
      await accept(readReport(report, "maestro"));
      return true;
    },
  });

  expect(ids(sent)).not.toContain(last);
  expect(await observedVersion(specs, last)).toBe(1);
});

test("parts of a long list are answered by themselves", async () => {
  await using specs = await openSpecs();
  const created = await Promise.all(["a", "b", "c", "d"].map((id) => specs.create({ id })));
  const held = [{ resourceId: "b", version: 1 }];

  const sent = await resync(specs, held, { range: { after: "a", through: "c" } });

  expect(created).toHaveLength(4);
  expect(ids(sent)).toEqual(["c"]);
});

test("an agent that has lost a version it held before is owed it again", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const report = statusEvent({ id, consumerName: specs.consumer });
  await createReportAcceptor(specs.db, log)(readReport(report, "maestro"));

  const [spec] = await resync(specs, []);

  expect(spec?.extensions["resourceid"]).toBe(id);
  // Pending, so it is sent again if this answer is lost as well.
  expect(await observedVersion(specs, id)).toBe(0);
});

test("a resync over several pages sends each resource once, in order of ids", async () => {
  await using specs = await openSpecs();
  await query(
    specs.db,
    "insert into resources (id, name, source, consumer_name, type, version, spec, spec_hash, " +
      "spec_event) select 'r-' || to_char(n, 'FM0000'), 'r-' || to_char(n, 'FM0000'), 'tests', " +
      `$1, 'Bundle', 2, '{}', '', '{"specversion":"1.0","id":"a","source":"s","type":"t"}' ` +
      "from generate_series(1, 1203) n",
    [specs.consumer],
  );
  const name = (index: number) => `r-${String(index + 1).padStart(4, "0")}`;
  // Every third is current; of the others some are behind and some missing.
  const held = Array.from({ length: 1203 }, (_, index) => ({
    resourceId: name(index),
    version: index % 3 === 0 ? 2 : 1,
  })).filter((_, index) => index % 3 !== 2);

  const sent = ids(await resync(specs, held));

  expect(sent).toEqual(
    Array.from({ length: 1203 }, (_, index) => name(index)).filter((_, index) => index % 3 !== 0),
  );
});

test("a resync ends when its connection is gone, and leaves the rest unsent", async () => {
  await using specs = await openSpecs();
  await Promise.all(Array.from({ length: 250 }, () => specs.create()));

  const sent = await resync(specs, [], { room: () => Promise.resolve(IS_GONE) });

  const [row] = await query<{ unsent: number }>(
    specs.db,
    "select count(*)::int as unsent from resources where sent_version = 0",
    [],
  );
  expect(sent).toHaveLength(50);
  expect(row?.unsent).toBe(200);
});

test(
  "a list of twenty thousand is compared at once, however often lists have come before",
  async () => {
    await using specs = await openSpecs();
    const rows = await query<{ id: string }>(
      specs.db,
      "insert into resources (id, name, source, consumer_name, type, version, observed_version, " +
        "spec, spec_hash, spec_event) select 'r-' || n, 'r-' || n, 'tests', $1, 'Bundle', 1, 1, " +
        "'{}', '', '{}' from generate_series(1, 20000) n returning id",
      [specs.consumer],
    );
    const held = rows.map(({ id }) => ({ resourceId: id, version: 1 }));

    // PostgreSQL plans for the values given five times, and for any values from then on: a join that
    // walks the list for each resource takes minutes, far above the limit of a test.
    for (let time = 0; time < 8; time++) expect(await resync(specs, held)).toEqual([]);
  },
  60_000,
);
