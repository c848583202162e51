/** Resources that go by themselves: so many seconds after their jobs are done, by the database's clock. */

import { expect, test } from "bun:test";
import * as q from "../../src/gen/queries.ts";
import { query } from "../../src/lib/db/query.ts";
import type { JsonObject } from "../../src/lib/json.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { abandonResource } from "../../src/lib/spec/abandon.ts";
import { expireResources, ttlOf } from "../../src/lib/spec/ttl.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

/** A bundle with this option; without one there is none. */
function specWith(ttl?: unknown, value = "1"): string {
  const manifest = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "a", namespace: "default" },
    data: { value },
  };
  const deleteOption = ttl === undefined ? undefined : { ttlSecondsAfterFinished: ttl };
  return JSON.stringify({ manifests: [manifest], deleteOption });
}

async function report(
  specs: Specs,
  id: string,
  complete: "True" | "False" | undefined,
  { version = 1, observed = version }: { version?: number; observed?: number } = {},
): Promise<void> {
  const conditions: JsonObject[] = [
    { type: "Applied", status: "True", observedGeneration: version },
    ...(complete === undefined
      ? []
      : [{ type: "Complete", status: complete, observedGeneration: observed }]),
  ];
  const parts = { id, version, data: JSON.stringify({ conditions }) };
  const event = statusEvent({ consumerName: specs.consumer, ...parts });
  const answer = await createReportAcceptor(specs.db, log)(readReport(event, "maestro"));
  expect(answer).toBe("stored");
}

interface Row {
  expires_in: number | null;
  deleted_by: string | null;
  is_deleting: boolean;
}

async function rowOf({ db }: Specs, id: string): Promise<Row | undefined> {
  const [row] = await query<Row>(
    db,
    "select extract(epoch from expires_at - now())::float as expires_in, deleted_by, " +
      "deleted_at is not null as is_deleting from resources where id = $1",
    [id],
  );
  return row;
}

const isDeleting = async (specs: Specs, id: string) => (await rowOf(specs, id))?.is_deleting;

/** Lets time pass for the database. */
async function age({ db }: Specs, seconds: number): Promise<void> {
  const text = "update resources set expires_at = expires_at - make_interval(secs => $1::int)";
  await query(db, text, [seconds]);
}

test("A74: a complete resource is deleted when its time is over, as if its source had asked, and it is known who did it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ spec: specWith(5) });
  await report(specs, id, "True");

  await expireResources(specs.db, log);
  expect(await isDeleting(specs, id)).toBeFalse();
  expect((await rowOf(specs, id))?.expires_in).toBeWithin(3, 5.001);
  await age(specs, 6);
  await expireResources(specs.db, log);

  expect(await rowOf(specs, id)).toEqual({
    expires_in: null,
    deleted_by: "ttlSecondsAfterFinished",
    is_deleting: true,
  });
  const noted = await query(
    specs.db,
    "select consumer_name, is_deletion from events where resource_id = $1 and is_deletion",
    [id],
  );
  expect(noted).toEqual([{ consumer_name: specs.consumer, is_deletion: true }]);
  const fed = await query(
    specs.db,
    "select source from changes where resource_id = $1 and kind = 'spec'",
    [id],
  );
  expect(fed).toEqual([{ source: "tests" }, { source: "tests" }]);

  const conditions = [{ type: "Deleted", status: "True" }];
  const event = statusEvent({
    ...{ id, consumerName: specs.consumer, data: JSON.stringify({ conditions }) },
  });
  expect(await createReportAcceptor(specs.db, log)(readReport(event, "maestro"))).toBe("deleted");
  const buried = await query(specs.db, "select deleted_by from tombstones where id = $1", [id]);
  expect(buried).toEqual([{ deleted_by: "ttlSecondsAfterFinished" }]);
});

test("A75, A76, A77: without the option, or before it is complete, a resource stays; with 0 it goes at once", async () => {
  await using specs = await openSpecs();
  const [none, running, failed, silent, now] = [
    await specs.create({ spec: specWith() }),
    await specs.create({ spec: specWith(0) }),
    await specs.create({ spec: specWith(0) }),
    await specs.create({ spec: specWith(0) }),
    await specs.create({ spec: specWith(0) }),
  ];
  await report(specs, none.id, "True");
  await report(specs, running.id, undefined);
  await report(specs, failed.id, "False");
  await report(specs, now.id, "True");

  await expireResources(specs.db, log);

  for (const { id } of [none, running, failed, silent]) {
    expect(await isDeleting(specs, id)).toBeFalse();
  }
  expect(await isDeleting(specs, now.id)).toBeTrue();
});

test("A78: a work of a replica set is left to whoever made it", async () => {
  await using specs = await openSpecs();
  const labels = { "work.open-cluster-management.io/manifestworkreplicaset": "ns.set" };
  const metadata = JSON.stringify({ labels });
  const { id } = await specs.create({ spec: specWith(0), metadata });
  await report(specs, id, "True");

  await expireResources(specs.db, log);

  expect(await isDeleting(specs, id)).toBeFalse();
});

test("a new version, and a status that is complete no more, take the time away", async () => {
  await using specs = await openSpecs();
  const [changed, without, again, older] = [
    await specs.create({ spec: specWith(1) }),
    await specs.create({ spec: specWith(1) }),
    await specs.create({ spec: specWith(1) }),
    await specs.create({ spec: specWith(1) }),
  ];
  for (const { id } of [changed, without, again]) await report(specs, id, "True");
  await specs.acceptor.update({ ...newUpdate(changed.id, 1, "2"), spec: specWith(1, "2") });
  await specs.acceptor.update({ ...newUpdate(without.id, 1, "2"), spec: specWith(undefined, "2") });
  await report(specs, without.id, "True", { version: 2 });
  await report(specs, again.id, "False");
  // What was complete in an older version says nothing of this one.
  await specs.acceptor.update({ ...newUpdate(older.id, 1, "2"), spec: specWith(1, "2") });
  await report(specs, older.id, "True", { version: 2, observed: 1 });
  await age(specs, 100);

  await expireResources(specs.db, log);

  for (const { id } of [changed, without, again, older]) {
    expect(await rowOf(specs, id)).toEqual({
      expires_in: null,
      deleted_by: null,
      is_deleting: false,
    });
  }
  // And once that version is complete, its own time begins.
  await report(specs, changed.id, "True", { version: 2 });
  expect((await rowOf(specs, changed.id))?.expires_in).toBeWithin(0, 1.001);
});

test("what a server of before the option writes beside this one takes the time away as well", async () => {
  await using specs = await openSpecs();
  const [changed, reported, without] = [
    await specs.create({ spec: specWith(0) }),
    await specs.create({ spec: specWith(0) }),
    await specs.create({ spec: specWith(0) }),
  ];
  for (const { id } of [changed, reported]) await report(specs, id, "True");
  const write = (text: string, id: string) =>
    query(specs.db, `update resources set ${text} where id = $1`, [id]);
  await write("version = version + 1", changed.id);
  await write("status_sequence = status_sequence + 1", reported.id);
  // The option itself went with the new version, which that server has not read for it.
  await write("version = version + 1", without.id);
  await report(specs, without.id, "True", { version: 2 });

  await expireResources(specs.db, log);

  for (const { id } of [changed, reported, without]) {
    expect(await isDeleting(specs, id)).toBeFalse();
  }
  // Nor does it wait in the index for ever.
  expect((await rowOf(specs, without.id))?.expires_in).toBeNull();
});

test("a version above the one that an agent holds keeps the option of its spec", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ spec: specWith(0) });
  await q.resourceOvertake(specs.db, [id], [specs.consumer], [5], [null]);
  await report(specs, id, "True", { version: 6 });

  await expireResources(specs.db, log);

  expect(await isDeleting(specs, id)).toBeTrue();
});

test("the first word that all is done counts: what is reported later does not put the end off", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ spec: specWith(100) });
  await report(specs, id, "True");
  await age(specs, 60);

  await report(specs, id, "True");

  expect((await rowOf(specs, id))?.expires_in).toBeWithin(30, 41);
});

test("many servers that look at once delete each resource once, and none that somebody has just deleted", async () => {
  await using specs = await openSpecs();
  const resources = [];
  for (let count = 0; count < 20; count++) {
    resources.push(await specs.create({ spec: specWith(0) }));
  }
  for (const { id } of resources) await report(specs, id, "True");
  const asked = resources[0]?.id ?? "";
  await specs.acceptor.delete({ id: asked });

  await Promise.all(Array.from({ length: 6 }, () => expireResources(specs.db, log)));
  while (await expireResources(specs.db, log));
  await report(specs, asked, "True");
  expect((await rowOf(specs, asked))?.expires_in).toBeNull();
  await query(specs.db, "update resources set expires_at = now()", []);
  await expireResources(specs.db, log);

  const counts = await query(
    specs.db,
    "select count(*)::int as notes, count(distinct resource_id)::int as resources from events " +
      "where is_deletion",
    [],
  );
  expect(counts).toEqual([{ notes: 20, resources: 20 }]);
  expect((await rowOf(specs, asked))?.deleted_by).toBeNull();
});

test("what another server is just deleting is not waited for", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ spec: specWith(0) });
  await report(specs, id, "True");

  await specs.db.begin(async (other) => {
    await other.unsafe("select from resources where id = $1 for update", [id]);
    expect(await expireResources(specs.db, log)).toBeFalse();
    expect(await isDeleting(specs, id)).toBeFalse();
  });

  await expireResources(specs.db, log);
  expect(await isDeleting(specs, id)).toBeTrue();
});

test("a resource that is deleted by itself and abandoned keeps on record who deleted it", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ spec: specWith(0) });
  await report(specs, id, "True");
  await expireResources(specs.db, log);
  await query(specs.db, "update consumers set last_seen_at = null", []);

  await abandonResource(specs.db, log, {
    ...{ id, type: "Bundle", by: "ada", sourceId: "maestro", operationId: "1" },
  });

  const buried = await query(
    specs.db,
    "select deleted_by, abandoned_by from tombstones where id = $1",
    [id],
  );
  expect(buried).toEqual([{ deleted_by: "ttlSecondsAfterFinished", abandoned_by: "ada" }]);
});

test.each([
  [5, 5],
  [0, 0],
  [undefined, undefined],
  [-1, undefined],
  [1.5, undefined],
  ["5", undefined],
  [null, undefined],
  [1e12, undefined],
])("a time of %p seconds means %p", (given, seconds) => {
  expect(ttlOf({ spec: specWith(given) })).toBe(seconds);
});
