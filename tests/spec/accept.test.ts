/** What becomes of creates, updates and deletions. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { type Acceptor, createAcceptor } from "../../src/lib/spec/accept.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle } from "../harness/events.ts";
import { newResource, newUpdate, openSpecs } from "./specs.ts";

interface Stored {
  version: number;
  spec: string;
  source: string;
  deleted_at: string | null;
}

async function stored(db: Db, id: string): Promise<Stored | undefined> {
  const text =
    "select version, spec::text as spec, source, deleted_at from resources where id = $1";
  return (await query<Stored>(db, text, [id]))[0];
}

async function outbox(db: Db, id: string): Promise<{ is_deletion: boolean }[]> {
  const text = "select is_deletion from events where resource_id = $1 order by id";
  return await query(db, text, [id]);
}

/** The message of a refusal, with its code. */
async function refusal(call: Promise<unknown>): Promise<string> {
  return await call.then(() => "accepted", ({ code, message }) => `${code}: ${message}`);
}

test("a created resource is stored byte for byte, with the note for its agent", async () => {
  await using specs = await openSpecs();
  const spec = '{ "manifests": [ {"z":1, "a":9007199254740993, "b":1.0} ] }';
  const resource = newResource(specs.consumer, { spec });

  await specs.acceptor.create(resource);

  expect(await stored(specs.db, resource.id)).toMatchObject({ version: 1, spec, source: "tests" });
  expect(await outbox(specs.db, resource.id)).toEqual([{ is_deletion: false }]);
});

test("an id that is taken is a conflict and leaves the first as it is", async () => {
  await using specs = await openSpecs();
  const resource = newResource(specs.consumer);
  await specs.acceptor.create(resource);

  const again = await refusal(
    specs.acceptor.create({ ...resource, name: "another", spec: bundle("2") }),
  );

  expect(again).toBe("conflict: This Resource already exists");
  expect((await stored(specs.db, resource.id))?.spec).toBe(resource.spec);
  expect(await outbox(specs.db, resource.id)).toHaveLength(1);
});

test("a name that is taken is a conflict, also within one statement", async () => {
  await using specs = await openSpecs();
  const one = newResource(specs.consumer, { name: "the-same" });
  const other = newResource(specs.consumer, { name: "the-same" });

  const answers = await Promise.all(
    [one, other].map((resource) => refusal(specs.acceptor.create(resource))),
  );

  expect(answers.toSorted()).toEqual(["accepted", "conflict: This Resource already exists"]);
  const rows = await query(specs.db, "select id from resources where name = 'the-same'", []);
  expect(rows).toHaveLength(1);
});

test("an unknown consumer is refused alone, in the words that clients look for", async () => {
  await using specs = await openSpecs();
  const good = Array.from({ length: 5 }, () => newResource(specs.consumer));
  const bad = newResource("nobody");

  const answers = await Promise.all(
    [...good, bad].map((resource) => refusal(specs.acceptor.create(resource))),
  );

  expect(answers.slice(0, 5)).toEqual(good.map(() => "accepted"));
  expect(answers[5]).toContain('violates foreign key constraint "fk_resources_consumers"');
  expect(await stored(specs.db, bad.id)).toBeUndefined();
  expect(await outbox(specs.db, bad.id)).toEqual([]);
});

test("a create for a consumer whose deletion is just being committed is refused as for an unknown one", async () => {
  await using specs = await openSpecs();
  const deleted = Promise.withResolvers<void>();
  const leave = Promise.withResolvers<void>();
  const deleting = specs.db.begin(async (tx) => {
    await tx.unsafe("delete from consumers");
    deleted.resolve();
    await leave.promise;
  });
  await deleted.promise;

  const answer = refusal(specs.acceptor.create(newResource(specs.consumer)));
  await eventually(async () => {
    const text = "select from pg_stat_activity where datname = current_database() " +
      "and wait_event_type = 'Lock' and query like '-- Stores new resources%'";
    return (await query(specs.db, text, [])).length === 1;
  });
  leave.resolve();
  await deleting;

  expect(await answer).toStartWith("invalid_argument: Unable to create Resource: consumer");
});

test("text that PostgreSQL cannot keep is refused alone, and as the caller's fault", async () => {
  await using specs = await openSpecs();
  const good = newResource(specs.consumer);
  const bad = [
    newResource(specs.consumer, { name: "a\u0000b" }),
    newResource(specs.consumer, { metadata: '{"labels":{"a":"\\ud800"}}' }),
    newResource(`${specs.consumer}\u0000`),
    // Longer than an entry of an index, however well it is compressed.
    newResource(specs.consumer, {
      source: Array.from({ length: 500 }, () => crypto.randomUUID()).join(""),
    }),
  ];

  const answers = await Promise.all(
    [...bad, good].map((resource) => refusal(specs.acceptor.create(resource))),
  );

  for (const answer of answers.slice(0, 4)) expect(answer).toMatch(/^invalid_argument: /);
  expect(answers[4]).toBe("accepted");
});

test("an update counts the version up and notes it for the agent", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  const version = await specs.acceptor.update(newUpdate(id, 1, "2"));

  expect(version).toBe(2);
  expect(await stored(specs.db, id)).toMatchObject({ version: 2, spec: bundle("2") });
  expect(await outbox(specs.db, id)).toHaveLength(1);
});

test("a stale update is refused with the version that is stored", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));

  const answer = await refusal(specs.acceptor.update(newUpdate(id, 1, "3")));

  expect(answer).toBe(
    "conflict: the resource version is not the latest, the latest version: 2",
  );
  expect(await stored(specs.db, id)).toMatchObject({ version: 2, spec: bundle("2") });
});

test("version 0 takes whatever is stored", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));

  expect(await specs.acceptor.update(newUpdate(id, 0, "3"))).toBe(3);
});

test("of twenty racing updates of one version exactly one wins", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  // Each has an acceptor of its own, as on twenty servers, so that they meet in the database.
  const racers = Array.from({ length: 20 }, () => createAcceptor(specs.db));

  const answers = await Promise.all(
    racers.map((acceptor, index) => refusal(acceptor.update(newUpdate(id, 1, `racer ${index}`)))),
  );

  expect(answers.filter((answer) => answer === "accepted")).toHaveLength(1);
  expect(new Set(answers.filter((answer) => answer !== "accepted"))).toEqual(
    new Set(["conflict: the resource version is not the latest, the latest version: 2"]),
  );
  expect((await stored(specs.db, id))?.version).toBe(2);
  expect(await outbox(specs.db, id)).toHaveLength(1);
});

test("racing updates that take whatever is stored all count", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const racers = Array.from({ length: 5 }, () => createAcceptor(specs.db));

  const versions = await Promise.all(
    racers.map((acceptor, index) => acceptor.update(newUpdate(id, 0, `racer ${index}`))),
  );

  expect(versions.toSorted()).toEqual([2, 3, 4, 5, 6]);
});

test("an update that changes nothing keeps the version and tells nobody", async () => {
  await using specs = await openSpecs();
  const metadata = '{"name":"a","labels":{"x":"1"},"resourceVersion":"0"}';
  const { id } = await specs.create({ metadata });

  const version = await specs.acceptor.update({
    ...newUpdate(id, 1, "1"),
    metadata: '{"resourceVersion":"1","generation":1,"labels":{"x":"1"},"name":"a",' +
      '"creationTimestamp":"2026-01-02T03:04:05Z"}',
  });

  expect(version).toBe(1);
  expect(await outbox(specs.db, id)).toHaveLength(1);
});

test("an update of labels alone is a new version", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create({ metadata: '{"labels":{"x":"1"}}' });

  const update = { ...newUpdate(id, 1, "1"), metadata: '{"labels":{"x":"2"}}' };

  expect(await specs.acceptor.update(update)).toBe(2);
});

test("an update of what is not stored is not found", async () => {
  await using specs = await openSpecs();

  const answer = await refusal(specs.acceptor.update(newUpdate("nothing", 1, "2")));

  expect(answer).toBe("not_found: Resource with id='nothing' not found");
});

test("a deletion is a state: the row stays, the agent is told, an update is refused", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  await specs.acceptor.delete({ id, source: "tests" });
  const update = await refusal(specs.acceptor.update(newUpdate(id, 1, "2")));
  const blindUpdate = await refusal(specs.acceptor.update(newUpdate(id, 0, "2")));

  expect(update).toBe(`conflict: the resource is under deletion, id: ${id}`);
  expect(blindUpdate).toBe(update);
  expect(await stored(specs.db, id)).toMatchObject({ version: 1, spec: bundle() });
  expect((await stored(specs.db, id))?.deleted_at).not.toBeNull();
  expect(await outbox(specs.db, id)).toEqual([{ is_deletion: false }, { is_deletion: true }]);
});

test("a create for an id that is being deleted is refused", async () => {
  await using specs = await openSpecs();
  const resource = await specs.create();
  await specs.acceptor.delete({ id: resource.id });

  const answer = await refusal(specs.acceptor.create({ ...resource, spec: bundle("2") }));

  expect(answer).toBe("conflict: This Resource already exists");
});

test("M8: one deletion that is tried ten thousand times adds one row", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();

  // One after the other, so no more at once than a slow machine answers in time.
  for (let round = 0; round < 200; round++) {
    await Promise.all(Array.from({ length: 50 }, () => specs.acceptor.delete({ id })));
  }

  expect(await outbox(specs.db, id)).toEqual([{ is_deletion: false }, { is_deletion: true }]);
}, 60_000);

test("deleting what was never there is fine", async () => {
  await using specs = await openSpecs();

  expect(await refusal(specs.acceptor.delete({ id: "nothing", source: "tests" }))).toBe("accepted");
});

test("M28: a source cannot touch another source's resource", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const before = await stored(specs.db, id);

  const update = await refusal(
    specs.acceptor.update({ ...newUpdate(id, 1, "2"), source: "others" }),
  );
  const deletion = await refusal(specs.acceptor.delete({ id, source: "others" }));

  const expected = `permission_denied: Cannot change resource "${id}": it belongs to source ` +
    '"tests", not to "others"';
  expect([update, deletion]).toEqual([expected, expected]);
  expect(await stored(specs.db, id)).toEqual(before);
  expect(await outbox(specs.db, id)).toHaveLength(1);
});

test("the calls for one id keep their order, whatever travels with them", async () => {
  await using specs = await openSpecs();
  const resources = Array.from({ length: 20 }, () => newResource(specs.consumer));
  const calls = (acceptor: Acceptor, resource: typeof resources[number]) => [
    acceptor.create(resource),
    acceptor.update(newUpdate(resource.id, 1, "2")),
    acceptor.update(newUpdate(resource.id, 2, "3")),
    acceptor.delete({ id: resource.id }),
  ];

  const answers = await Promise.all(
    resources.flatMap((resource) => calls(specs.acceptor, resource)).map(refusal),
  );

  expect(new Set(answers)).toEqual(new Set(["accepted"]));
  for (const { id } of resources) {
    expect(await stored(specs.db, id)).toMatchObject({ version: 3, spec: bundle("3") });
    expect((await stored(specs.db, id))?.deleted_at).not.toBeNull();
  }
});

test("a change without its note is never stored, nor a note without its change", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  // It is sent, so that a new version needs a note of its own.
  await query(specs.db, "update resources set sent_version = 1, sent_at = now(), attempts = 1", []);
  // The outbox refuses it, as a full disk would.
  await specs.db.unsafe(`alter table events add constraint full_check check (false) not valid`);

  const created = newResource(specs.consumer);
  const answers = [
    await refusal(specs.acceptor.create(created)),
    await refusal(specs.acceptor.update(newUpdate(id, 1, "2"))),
    await refusal(specs.acceptor.delete({ id })),
  ];

  expect(answers).not.toContain("accepted");
  expect(await stored(specs.db, created.id)).toBeUndefined();
  expect(await stored(specs.db, id)).toMatchObject({ version: 1, deleted_at: null });
});
