/** Large specs: how many of them are claimed at once, and that none is marked that is not sent. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createBriefResync } from "../../src/lib/spec/brief_resync.ts";
import { createSpecPublisher, type Publish } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "./specs.ts";

const log = testLogger();
const MB = 1_000_000;

/** Resources of a consumer with specs of a size, in the order of their ids, each with a note in the outbox. */
async function fill(db: Db, consumerName: string, lane: string, count: number, bytes: number) {
  await query(
    db,
    "with row as (select $1 || $2 || lpad(n::text, 3, '0') as id from generate_series(1, $3::int) n), " +
      "stored as (insert into resources (id, name, source, consumer_name, type, version, spec, " +
      "spec_hash, spec_event, deleted_at) select id, id, 'tests', $1, 'Bundle', 1, " +
      'to_json(repeat(\'x\', $4::int)), \'\', \'{"specversion":"1.0","id":"a","source":"s","type":"t"}\', ' +
      "case when $2 = '-deletion-' then now() end from row returning id, deleted_at) " +
      "insert into events (resource_id, consumer_name, is_deletion) " +
      "select id, $1, deleted_at is not null from stored order by id",
    [consumerName, lane, count, bytes],
  );
}

interface Loop {
  run(): Promise<boolean>;
}

/** What each run of a loop sends until it has nothing left; `afterFirst` looks at what is stored meanwhile. */
async function runs(
  { db, consumer: name }: Specs,
  open: (publish: Publish, options: Parameters<typeof createSpecRedelivery>[3]) => Loop,
  afterFirst: (sent: string[]) => Promise<void> = async () => {},
): Promise<string[][]> {
  const sent: string[] = [];
  const ready = new Map([[name, { name, connectedAt: "2000-01-01T00:00:00Z" }]]);
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 3_600_000 };
  const keep: Publish = (_, event) => sent.push(String(event.extensions["resourceid"])) > 0;
  const loop = open(keep, options);
  const all: string[][] = [];
  for (let isMore = true; isMore;) {
    isMore = await loop.run();
    all.push(sent.splice(0).toSorted());
    if (all.length === 1) await afterFirst(all[0] ?? []);
  }
  expect(await query(db, "select from resources where sent_at is null", [])).toEqual([]);
  return all;
}

async function marked({ db }: Specs): Promise<string[]> {
  const rows = await query<{ id: string }>(
    db,
    'select id from resources where sent_at is not null and attempts = 1 order by id collate "C"',
    [],
  );
  return rows.map(({ id }) => id);
}

test(
  "I10: of many large specs a turn takes and marks about 8 MB, and the next ones go on in order",
  async () => {
    await using specs = await openSpecs();
    await fill(specs.db, specs.consumer, "-create-", 20, MB);

    const turns = await runs(
      specs,
      (publish, options) => createSpecPublisher(specs.db, publish, log, options),
      async (sent) => {
        expect(await marked(specs)).toEqual(sent);
        expect(await query(specs.db, "select from events", [])).toHaveLength(20 - sent.length);
      },
    );

    expect(turns.map((ids) => ids.length).filter((count) => count > 8)).toEqual([]);
    expect(turns.flat()).toHaveLength(20);
    expect(turns.flat()).toEqual(turns.flat().toSorted());
  },
  20_000,
);

test("a spec that is larger than a turn is sent, and what waits behind it", async () => {
  await using specs = await openSpecs();
  await fill(specs.db, specs.consumer, "-a-", 1, 9 * MB);
  await fill(specs.db, specs.consumer, "-b-", 1, 10);

  const turns = await runs(
    specs,
    (publish, options) => createSpecPublisher(specs.db, publish, log, options),
  );

  expect(turns.flat()).toEqual([`${specs.consumer}-a-001`, `${specs.consumer}-b-001`]);
}, 20_000);

test("small specs are taken all at once, whichever of them are looked at", async () => {
  await using specs = await openSpecs();
  for (let round = 0; round < 20; round++) {
    await fill(specs.db, specs.consumer, `-${round}-`, 3, 10);
    const [first] = await runs(
      specs,
      (publish, options) => createSpecPublisher(specs.db, publish, log, options),
    );
    expect(first).toHaveLength(3);
  }
}, 20_000);

test(
  "I10: of many large specs redelivery marks 8 MB in a step, and the next ones go on in each lane",
  async () => {
    await using specs = await openSpecs();
    await fill(specs.db, specs.consumer, "-create-", 10, MB);
    await fill(specs.db, specs.consumer, "-deletion-", 10, MB);

    const steps = await runs(
      specs,
      (publish, options) => createSpecRedelivery(specs.db, publish, log, options),
      async (sent) => expect(await marked(specs)).toEqual(sent),
    );

    expect(Math.max(...steps.map((ids) => ids.length))).toBe(7);
    expect(steps.flat()).toHaveLength(20);
    for (const lane of ["-create-", "-deletion-"]) {
      const ids = steps.flat().filter((id) => id.includes(lane));
      expect(ids).toEqual(Array.from(new Set(ids)).toSorted());
    }
  },
  20_000,
);

test(
  "I10: of many large specs the answer to a brief resync marks 8 MB at once, until all have left",
  async () => {
    await using specs = await openSpecs();
    await fill(specs.db, specs.consumer, "-create-", 10, MB);
    await fill(specs.db, specs.consumer, "-deletion-", 10, MB);
    const parts: string[][] = [[]];
    const push = (event: CloudEvent) =>
      void parts.at(-1)?.push(String(event.extensions["resourceid"]));
    const room = async () => {
      expect(await marked(specs)).toEqual(parts.flat().toSorted());
      return parts.push([]) > 0;
    };
    const connectedAt = "2000-01-01T00:00:00Z";
    const asker = { consumerName: specs.consumer, dataType: MANIFEST_BUNDLES };

    const right = { isRight: true, statusDigest: "" };
    const request = { ...asker, connectedAt, sourceId: "maestro" };
    await createBriefResync(specs.db, log).answer({ push, room }, request, right);

    expect(Math.max(...parts.map((ids) => ids.length))).toBe(8);
    expect(parts.flat()).toHaveLength(20);
    expect(await marked(specs)).toHaveLength(20);
  },
  20_000,
);
