/** Which reports are stored, and what a confirmed deletion leaves behind. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport, type Report } from "../../src/lib/status/accept.ts";
import { nextSequence, statusEvent, type StatusEventParts } from "../harness/events.ts";
import { vector, VECTORS } from "../harness/golden.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "../spec/specs.ts";

interface Stored {
  version: number;
  observed_version: number;
  applied_version: number;
  status: string | null;
  status_sequence: string | null;
  deleted_at: string | null;
}

async function stored(db: Db, id: string): Promise<Stored | undefined> {
  const rows = await query<Stored>(
    db,
    "select version, observed_version, applied_version, status::text as status, status_sequence, " +
      "deleted_at from resources where id = $1",
    [id],
  );
  return rows[0];
}

async function changes(db: Db, id: string): Promise<{ kind: string; status: string | null }[]> {
  const text = "select kind, status::text as status from changes " +
    "where resource_id = $1 and kind <> 'spec' order by id";
  return await query(db, text, [id]);
}

function report(specs: Specs, parts: Omit<StatusEventParts, "consumerName">): Report {
  return readReport(statusEvent({ consumerName: specs.consumer, ...parts }), "maestro");
}

const acceptorOf = (specs: Specs) => createReportAcceptor(specs.db, testLogger());

test("a report is stored with its sequence, its versions and an entry in the feed", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const sequence = nextSequence();
  const data = '{ "conditions": [], "x": 9007199254740993, "y": 1.0 }';

  const answer = await acceptorOf(specs)(report(specs, { id, sequence, data }));

  expect(answer).toBe("stored");
  expect(await stored(specs.db, id)).toMatchObject({
    status: data,
    status_sequence: sequence,
    observed_version: 1,
    applied_version: 0,
  });
  expect(await changes(specs.db, id)).toEqual([{ kind: "status", status: null }]);
});

test("what the agent holds and what it has applied are kept apart", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  const conditions = [{ type: "Applied", status: "True", observedGeneration: 1 }];

  await acceptorOf(specs)(
    report(specs, { id, version: 2, data: JSON.stringify({ conditions }) }),
  );

  expect(await stored(specs.db, id)).toMatchObject({ observed_version: 2, applied_version: 1 });
});

test("a report on another version than the stored one changes nothing", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  const accept = acceptorOf(specs);
  const before = await stored(specs.db, id);

  const answers = [
    await accept(report(specs, { id, version: 1 })),
    await accept(report(specs, { id, version: 0 })),
  ];

  expect(answers).toEqual(["stale", "stale"]);
  expect(await stored(specs.db, id)).toEqual(before);
  expect(await changes(specs.db, id)).toEqual([]);
});

test("an equal or older sequence changes nothing, whatever its number of digits", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = acceptorOf(specs);
  const first = await accept(report(specs, { id, sequence: "1000", message: "newest" }));

  const answers = [
    await accept(report(specs, { id, sequence: "1000", message: "again" })),
    // Greater as text, and as a double no less.
    await accept(report(specs, { id, sequence: "999", message: "older" })),
  ];

  expect([first, ...answers]).toEqual(["stored", "stale", "stale"]);
  expect((await stored(specs.db, id))?.status).toContain("newest");
  expect(await changes(specs.db, id)).toHaveLength(1);
});

test("sequences that a double cannot tell apart are told apart", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = acceptorOf(specs);
  await accept(report(specs, { id, sequence: "2124637164250599424" }));

  const next = await accept(report(specs, { id, sequence: "2124637164250599425" }));

  expect(next).toBe("stored");
});

test("a duplicate that arrives at two servers at once is stored once", async () => {
  await using specs = await openSpecs();
  const resources = await Promise.all(Array.from({ length: 20 }, () => specs.create()));
  const reports = resources.map(({ id }) => report(specs, { id }));
  const servers = [acceptorOf(specs), acceptorOf(specs)];

  const answers = await Promise.all(
    servers.flatMap((accept) => reports.map((one) => accept(one))),
  );

  expect(answers.filter((answer) => answer === "stored")).toHaveLength(20);
  for (const { id } of resources) expect(await changes(specs.db, id)).toHaveLength(1);
});

test("an agent cannot report for another consumer", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  const event = statusEvent({ id, consumerName: "another" });
  const answer = await acceptorOf(specs)(readReport(event, "maestro"));

  expect(answer).toBe("stale");
  expect((await stored(specs.db, id))?.status).toBeNull();
});

test("a report on what is not stored is stale", async () => {
  await using specs = await openSpecs();

  expect(await acceptorOf(specs)(report(specs, { id: "nothing" }))).toBe("stale");
});

test("reports on what is being deleted still count", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });

  const answer = await acceptorOf(specs)(report(specs, { id, message: "deleting" }));

  expect(answer).toBe("stored");
  expect((await stored(specs.db, id))?.status).toContain("deleting");
});

test("a confirmed deletion removes the row and leaves a tombstone and the last state", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });
  const sequence = nextSequence();

  const answer = await acceptorOf(specs)(
    report(specs, { id, sequence, isDeleted: true, message: "gone" }),
  );

  expect(answer).toBe("deleted");
  expect(await stored(specs.db, id)).toBeUndefined();
  expect(await changes(specs.db, id)).toEqual([
    { kind: "deleted", status: expect.stringContaining("gone") },
  ]);
  const tombstones = await query(
    specs.db,
    "select source, consumer_name, version, last_sequence from tombstones where id = $1",
    [id],
  );
  expect(tombstones).toEqual([
    { source: "tests", consumer_name: specs.consumer, version: 1, last_sequence: sequence },
  ]);
});

test("a deletion may come without a sequence, as from old agents", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });
  const event = statusEvent({ id, consumerName: specs.consumer, isDeleted: true });
  delete event.extensions["sequenceid"];

  expect(await acceptorOf(specs)(readReport(event, "maestro"))).toBe("deleted");
});

test("I5: a deletion that nobody asked for removes nothing", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  const answer = await acceptorOf(specs)(report(specs, { id, isDeleted: true }));

  expect(answer).toBe("stale");
  expect(await stored(specs.db, id)).toMatchObject({ deleted_at: null, status: null });
});

test("an agent cannot confirm the deletion of another consumer's resource", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.delete({ id });

  const event = statusEvent({ id, consumerName: "another", isDeleted: true });
  const answer = await acceptorOf(specs)(readReport(event, "maestro"));

  expect(answer).toBe("stale");
  expect(await stored(specs.db, id)).toBeDefined();
});

test("M15: a late confirmation from an earlier life leaves the re-created resource alone", async () => {
  await using specs = await openSpecs();
  const resource = await specs.create();
  const { id } = resource;
  const accept = acceptorOf(specs);
  await accept(report(specs, { id }));
  await specs.acceptor.delete({ id });
  const late = report(specs, { id, isDeleted: true });
  await accept(late);
  await specs.acceptor.create(resource);

  const whileAlive = await accept(late);
  await specs.acceptor.delete({ id });
  const whileDeleting = await accept(late);
  const reborn = await stored(specs.db, id);
  const current = await accept(report(specs, { id, isDeleted: true }));

  expect([whileAlive, whileDeleting, current]).toEqual(["stale", "stale", "deleted"]);
  expect(reborn?.version).toBe(1);
});

test("a late report from an earlier life does not become the status of the next", async () => {
  await using specs = await openSpecs();
  const resource = await specs.create();
  const { id } = resource;
  const accept = acceptorOf(specs);
  const late = report(specs, { id, message: "late" });
  await specs.acceptor.delete({ id });
  await accept(report(specs, { id, isDeleted: true }));
  await specs.acceptor.create(resource);

  expect(await accept(late)).toBe("stale");
  expect((await stored(specs.db, id))?.status).toBeNull();
  expect(await accept(report(specs, { id, message: "current" }))).toBe("stored");
});

test("the reports on one resource keep their order", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const accept = acceptorOf(specs);
  const reports = Array.from(
    { length: 50 },
    (_, index) => report(specs, { id, message: `${index}` }),
  );

  const answers = await Promise.all(reports.map((one) => accept(one)));

  expect(new Set(answers)).toEqual(new Set(["stored"]));
  expect((await stored(specs.db, id))?.status).toContain('"message":"49"');
  expect(await changes(specs.db, id)).toHaveLength(50);
});

test("one report that cannot be stored fails alone", async () => {
  await using specs = await openSpecs();
  const [good, bad] = [await specs.create(), await specs.create()];
  const accept = acceptorOf(specs);

  const answers = await Promise.allSettled([
    accept(report(specs, { id: good.id })),
    accept({ ...report(specs, { id: bad.id }), status: "no json" }),
  ]);

  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
});

const REFUSED: [string, (parts: StatusEventParts) => Partial<StatusEventParts>, string][] = [
  [
    "for another source",
    () => ({ extensions: { originalsource: "other" } }),
    'unmatched source: the event is for "other", this server is "maestro"',
  ],
  [
    "with a sequence that is no number",
    () => ({ sequence: "abc" }),
    "failed to get sequenceid extension: it must be a decimal snowflake id",
  ],
  [
    "with a sequence beyond 64 bits",
    () => ({ sequence: "9223372036854775808" }),
    "failed to get sequenceid extension: it must be a decimal snowflake id",
  ],
  [
    "whose conditions are no list",
    () => ({ data: '{"conditions":{}}' }),
    "Cannot read the status: conditions must be a list of objects",
  ],
  [
    "with a condition that is null",
    () => ({ data: '{"conditions":[null]}' }),
    "Cannot read the status: conditions must be a list of objects",
  ],
  ["that is no JSON", () => ({ data: "{" }), "Cannot read the status: it is not JSON"],
  [
    "with U+0000",
    () => ({ data: '{"a":"\\u0000"}' }),
    "Cannot read the status: it contains \\u0000",
  ],
  [
    "with a version beyond 32 bits",
    () => ({ version: 2_147_483_648 }),
    "failed to get resourceversion extension: it must be a 32-bit integer",
  ],
];

for (const [what, change, message] of REFUSED) {
  test(`a report ${what} is refused`, () => {
    const parts = { id: "a", consumerName: "cluster1" };

    expect(() => readReport(statusEvent({ ...parts, ...change(parts) }), "maestro"))
      .toThrow(message);
  });
}

test("a generation that is no version says that nothing is known to be applied", () => {
  for (const generation of ["9007199254740993", "4000000000", '"1"', "1.5"]) {
    const data = `{"conditions":[{"type":"Applied","observedGeneration":${generation}}]}`;
    const event = statusEvent({ id: "a", consumerName: "cluster1", data });

    expect(readReport(event, "maestro")).toMatchObject({ appliedVersion: 0, status: data });
  }
});

for (
  const name of ["resourceid", "resourceversion", "clustername", "originalsource", "sequenceid"]
) {
  test(`a report without ${name} is refused`, () => {
    const event = statusEvent({ id: "a", consumerName: "cluster1" });
    delete event.extensions[name];

    expect(() => readReport(event, "maestro")).toThrow(
      `failed to get ${name} extension: it is missing`,
    );
  });
}

test("a report without a hash has the one that agents of its time computed", () => {
  const report = statusEvent({ id: "a", consumerName: "cluster1", data: vector("V3").data });
  const { statushash: _, ...extensions } = report.extensions;

  expect(readReport({ ...report, extensions }, "maestro").hash).toBe(VECTORS.eraA_V3);
  expect(readReport(report, "maestro").hash).toBe(String(report.extensions["statushash"]));
});

test("a report counts by what it says, whatever its action is called", () => {
  const parts = { id: "a", consumerName: "cluster1", sequence: "7" };
  for (const isDeleted of [false, true]) {
    const report = statusEvent({ ...parts, isDeleted });
    for (const action of ["delete_request", "resync_response", "test_update_request"]) {
      const type = report.type.replace("update_request", action);

      expect(readReport({ ...report, type }, "maestro")).toMatchObject({
        isDeleted,
        sequence: "7",
      });
    }
  }
});

test("a report of a data type that nobody stores is refused", () => {
  const report = statusEvent({ id: "a", consumerName: "cluster1" });
  const type = "coordination.k8s.io.v1.leases.status.update_request";

  expect(() => readReport({ ...report, type }, "maestro"))
    .toThrow('no service for the data type "coordination.k8s.io.v1.leases"');
});

test("Q33: a report on a single manifest that says nothing of it has a hash all the same", () => {
  const report = statusEvent({ id: "a", consumerName: "cluster1", isDeleted: true });
  const { statushash: _, ...extensions } = report.extensions;
  const type = report.type.replace("manifestbundles", "manifests");

  expect(readReport({ ...report, type, extensions }, "maestro"))
    .toMatchObject({ isDeleted: true, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
});
