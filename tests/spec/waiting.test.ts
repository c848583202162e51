/** Who is looked for by the sweeps of a server: those who have something waiting and are connected to it. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

async function addConsumers({ db }: Specs, prefix: string, count: number): Promise<string[]> {
  const rows = await query<{ name: string }>(
    db,
    "insert into consumers (id, name) select $1 || n, $1 || n " +
      "from generate_series(1, $2::int) n returning name",
    [prefix, count],
  );
  return rows.map(({ name }) => name);
}

/** A turn of the publisher and one of redelivery, both as sweeps; what they have sent. */
async function sweep({ db }: Specs, names: string[]) {
  const sent = { first: [] as string[], again: [] as string[] };
  const keep = (kind: keyof typeof sent) => (_: string, event: { extensions: object }) =>
    sent[kind].push(String((event.extensions as Record<string, unknown>)["resourceid"])) > 0;
  const here = (connectedAt: string) => new Map(names.map((name) => [name, { name, connectedAt }]));
  const sourceId = "maestro";
  const ready = () => here("2000-01-01T00:00:00Z");
  await createSpecPublisher(db, keep("first"), log, { sourceId, ready, sweepMs: 1 }).run();
  const later = () => here("2100-01-01T00:00:00Z");
  await createSpecRedelivery(db, keep("again"), log, { sourceId, ready: later, sweepMs: 1 }).run();
  return { first: sent.first.toSorted(), again: sent.again.toSorted() };
}

for (const others of [5, 100]) {
  test(`those of 300 who are connected here are found, though ${2 * others} others wait`, async () => {
    await using specs = await openSpecs();
    const here = await addConsumers(specs, "m-here-", 300);
    // Some of them come before ours in the index, and some after.
    for (const prefix of ["a-", "z-"]) {
      const names = await addConsumers(specs, prefix, others);
      await Promise.all(names.map((consumerName) => specs.create({ consumerName })));
    }
    const waiting = [here[7] ?? "", here[211] ?? ""];
    const made = await Promise.all(waiting.map((consumerName) => specs.create({ consumerName })));
    const expected = made.map(({ id }) => id).toSorted();

    expect(await sweep(specs, here)).toEqual({ first: expected, again: expected });
    expect(await sweep(specs, here)).toEqual({ first: [], again: expected });
  });
}

test("one sweep finds more consumers than fit a statement, and each is sent all that it has", async () => {
  await using specs = await openSpecs();
  const here = await addConsumers(specs, "here-", 600);
  const made = await Promise.all(
    here.flatMap((consumerName) => [1, 2, 3].map(() => specs.create({ consumerName }))),
  );
  const connectedAt = "2000-01-01T00:00:00Z";
  const ready = new Map(here.map((name) => [name, { name, connectedAt }]));
  const sent: string[] = [];
  const publisher = createSpecPublisher(
    specs.db,
    (_, event) => sent.push(String(event.extensions["resourceid"])) > 0,
    log,
    { sourceId: "maestro", ready: () => ready, sweepMs: 3_600_000 },
  );

  while (await publisher.run());

  expect(sent.toSorted()).toEqual(made.map(({ id }) => id).toSorted());
});

test("M2: a run that comes somewhat before its time sweeps all the same", async () => {
  await using specs = await openSpecs();
  const [here = ""] = await addConsumers(specs, "here-", 1);
  const ready = new Map([[here, { name: here, connectedAt: "2000-01-01T00:00:00Z" }]]);
  const sent: string[] = [];
  const publisher = createSpecPublisher(
    specs.db,
    (_, event) => sent.push(String(event.extensions["resourceid"])) > 0,
    log,
    { sourceId: "maestro", ready: () => ready, sweepMs: 1_000 },
  );
  while (await publisher.run());
  const { id } = await specs.create({ consumerName: here });

  // As far away as the grid of a pump brings its next run.
  await Bun.sleep(700);
  while (await publisher.run());

  expect(sent).toEqual([id]);
});
