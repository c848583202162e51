/** What becomes of changes that are asked for by their outcome, whichever door they come through. */

import { expect, test } from "bun:test";
import { connect } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { parseJson } from "../../src/lib/json.ts";
import type { ResourceDraft } from "../../src/lib/spec/draft.ts";
import { createIdTurns } from "../../src/lib/spec/id_turns.ts";
import { createResourceWriter, type WriteOptions } from "../../src/lib/spec/write.ts";
import { newUpdate, openSpecs } from "./specs.ts";

const BUNDLE: WriteOptions = { type: "Bundle" };

async function openWriter() {
  const specs = await openSpecs();
  const { db, acceptor, consumer } = specs;
  const writer = createResourceWriter({ db, acceptor, sourceId: "maestro" });
  return { ...specs, writer, [Symbol.asyncDispose]: () => specs[Symbol.asyncDispose](), consumer };
}

const updateEvent = (id: string) => newUpdate(id, 0, "").event;

function draft(consumerName: string, content = "1"): ResourceDraft {
  const metadata = { name: "settings", namespace: "default" };
  const manifest = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { content } };
  return { consumerName, spec: { manifests: [manifest] } };
}

/** Adds a label, which keeps those of others. */
const labelled = (key: string) => (stored: ResourceDraft): ResourceDraft => ({
  ...stored,
  metadata: { ...stored.metadata, labels: { ...Object(stored.metadata?.["labels"]), [key]: "" } },
});

/** The code and the message of a refusal. */
const refusal = (call: Promise<unknown>) =>
  call.then(() => "accepted", ({ code, message }) => `${code}: ${message}`);

async function count(db: Parameters<typeof query>[0], table: string): Promise<number> {
  const [row] = await query<{ n: string }>(db, `select count(*) as n from ${table}`, []);
  return Number(row?.n);
}

test("a patch does not lose what somebody else has changed between its reading and its writing", async () => {
  await using specs = await openWriter();
  const { writer, consumer } = specs;
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);

  let others: Promise<unknown> | undefined;
  const { row } = await writer.patch(id, (stored) => {
    // In the queue before ours, for the same id: it is stored first.
    others ??= specs.acceptor.update({
      ...{ id, version: 0, spec: JSON.stringify(stored.spec), metadata: '{"labels":{"their":""}}' },
      event: updateEvent(id),
    });
    return labelled("our")(stored);
  }, BUNDLE);
  await others;

  expect(parseJson(row.metadata ?? "")).toEqual({ labels: { their: "", our: "" } });
  expect(row.version).toBe(3);
});

test("a hundred patches at once all take effect, and of those of two servers none that was accepted is lost", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const other = createResourceWriter({ ...specs, sourceId: "maestro" });
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  const labelsOf = async () => {
    const text = "select metadata -> 'labels' as labels from resources where id = $1";
    return Object.keys(
      JSON.parse((await query<{ labels: string }>(db, text, [id]))[0]?.labels ?? "{}"),
    );
  };

  const keys = Array.from({ length: 100 }, (_, at) => `ours-${at}`);
  await Promise.all(keys.map((key) => writer.patch(id, labelled(key), BUNDLE)));
  const ofOne = await labelsOf();
  const mixed = Array.from({ length: 40 }, (_, at) => `mixed-${at}`);
  const outcomes = await Promise.all(
    mixed.map((key, at) =>
      refusal((at % 2 === 0 ? writer : other).patch(id, labelled(key), BUNDLE))
    ),
  );

  const accepted = mixed.filter((_, at) => outcomes[at] === "accepted");
  expect(ofOne.toSorted()).toEqual(keys.toSorted());
  expect((await labelsOf()).toSorted()).toEqual([...keys, ...accepted].toSorted());
});

test("I10: no more changes of one resource wait for each other than there may be", async () => {
  const inTurn = createIdTurns({ waitingMax: 2 });
  const held = Promise.withResolvers<void>();
  const order: number[] = [];

  const first = inTurn("a", () => held.promise);
  const second = inTurn("a", async () => void await Promise.resolve(order.push(2)));
  const third = await refusal(inTurn("a", () => held.promise));
  await inTurn("b", async () => void await Promise.resolve(order.push(1)));
  held.reject(new Error("broken"));
  const outcomes = [await refusal(first), await refusal(second)];
  await inTurn("a", async () => void await Promise.resolve(order.push(3)));

  expect(third).toBe('resource_exhausted: Cannot change resource "a": 2 others are changing it');
  expect(outcomes).toEqual(["undefined: broken", "accepted"]);
  expect(order).toEqual([1, 2, 3]);
});

test("I1: what is committed is told as such, though the database is lost before it can be read", async () => {
  await using specs = await openWriter();
  const { acceptor, consumer, db } = specs;
  const lost = connect({ ...specs.address, port: 1 }, { maxConnections: 1, applicationName: "x" });
  const writer = createResourceWriter({ db: lost, acceptor, sourceId: "maestro" });

  const { row, outcome } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  const unread = await refusal(writer.patch(row.id, labelled("x"), BUNDLE));
  await lost.end({ timeout: 1 });

  expect([outcome, row.version, row.consumer_name]).toEqual(["created", 1, consumer]);
  expect(unread).toStartWith("unavailable: ");
  expect(await count(db, "resources")).toBe(1);
});

test("of two changes of the same version one is refused with the latest version", async () => {
  await using specs = await openWriter();
  const { writer, consumer } = specs;
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);

  const options = { ...BUNDLE, version: 1 };
  const outcomes = await Promise.all([
    refusal(writer.patch(id, labelled("one"), options)),
    refusal(writer.apply(id, draft(consumer, "2"), options)),
  ]);

  expect(outcomes.toSorted()).toEqual([
    "accepted",
    "conflict: the resource version is not the latest, the latest version: 2",
  ]);
});

test("a change of a resource that was seen does not meet another that was created in its place", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const { row } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  await query(db, "delete from resources where id = $1", [row.id]);
  await writer.create({ id: row.id, draft: draft(consumer, "new life") }, BUNDLE);
  const seen = { ...BUNDLE, version: row.version, life: row.created_at };

  const outcomes = await Promise.all([
    refusal(writer.patch(row.id, labelled("old"), seen)),
    refusal(writer.apply(row.id, draft(consumer, "old"), seen)),
    refusal(writer.delete(row.id, seen)),
    // Past the writer's own look at the row.
    refusal(specs.acceptor.delete({ id: row.id, life: row.created_at })),
    refusal(specs.acceptor.update({
      ...{ id: row.id, version: 1, life: row.created_at, spec: "{}", event: updateEvent(row.id) },
    })),
  ]);

  const stale = "conflict: the resource version is not the latest, the latest version: 1";
  expect(outcomes).toEqual([stale, stale, stale, stale, stale]);
});

test("two that apply the same id at once both succeed, and only one has created it", async () => {
  await using specs = await openWriter();
  const { writer, consumer } = specs;
  const id = crypto.randomUUID();

  const written = await Promise.all([
    writer.apply(id, draft(consumer, "a"), BUNDLE),
    writer.apply(id, draft(consumer, "b"), BUNDLE),
    writer.apply(id, draft(consumer, "b"), BUNDLE),
  ]);

  expect(written.map(({ outcome }) => outcome).filter((one) => one === "created")).toHaveLength(1);
  expect(written.map(({ row }) => row.version).toSorted()).toEqual([1, 2, 2]);
});

test("applying what is stored keeps the version, also if a peer has written it in another order", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  const [manifest] = draft(consumer).spec.manifests;
  const spec = `{"manifests": [${JSON.stringify(manifest)}]}`;
  await specs.acceptor.update({ id, version: 0, spec, event: updateEvent(id) });

  const { row, outcome } = await writer.apply(id, draft(consumer), BUNDLE);

  expect({ outcome, version: row.version, spec: row.spec }).toEqual({
    outcome: "unchanged",
    version: 2,
    spec,
  });
  expect(await count(db, "changes")).toBe(2);
});

test("a dry run tells what would become and what would be refused, and stores nothing", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const named = { ...draft(consumer), name: "taken" };
  const { row: { id } } = await writer.create({ draft: named }, BUNDLE);
  const before = [await count(db, "events"), await count(db, "changes")];
  const dry = { ...BUNDLE, isDryRun: true };

  const created = await writer.create({ id: "new", draft: draft(consumer) }, dry);
  const changed = await writer.apply(id, { ...named, ...draft(consumer, "2") }, dry);
  const same = await writer.apply(id, named, dry);
  const patched = await writer.patch(id, labelled("x"), dry);
  await writer.delete(id, dry);
  const refusals = await Promise.all([
    refusal(writer.create({ draft: draft("nowhere") }, dry)),
    refusal(writer.create({ id, draft: draft(consumer) }, dry)),
    refusal(writer.create({ draft: named }, dry)),
    refusal(writer.patch(id, labelled("x"), { ...dry, version: 7 })),
    refusal(writer.delete(id, { ...dry, version: 7 })),
    refusal(writer.patch("missing", labelled("x"), dry)),
  ]);

  const outcomes = [created, changed, same, patched]
    .map(({ outcome, row }) => `${outcome} ${row.version}`);
  expect(outcomes).toEqual(["created 1", "changed 2", "unchanged 1", "changed 2"]);
  expect(refusals).toEqual([
    expect.stringMatching(/^invalid_argument: .*"nowhere" does not exist/),
    "conflict: This Resource already exists",
    "conflict: This Resource already exists",
    "conflict: the resource version is not the latest, the latest version: 1",
    "conflict: the resource version is not the latest, the latest version: 1",
    "not_found: Resource with id='missing' not found",
  ]);
  expect(await count(db, "resources")).toBe(1);
  expect([await count(db, "events"), await count(db, "changes")]).toEqual(before);
});

test("M28: a caller that speaks for one source touches only what is that source's", async () => {
  await using specs = await openWriter();
  const { writer, consumer } = specs;
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  const other = { ...BUNDLE, owner: "another" };

  const outcomes = await Promise.all([
    refusal(writer.apply(id, draft(consumer, "2"), other)),
    refusal(writer.patch(id, labelled("x"), other)),
    refusal(writer.delete(id, other)),
    refusal(writer.patch(id, labelled("x"), { ...other, isDryRun: true })),
  ]);
  const own = await writer.create({ draft: draft(consumer) }, other);

  const foreign = `permission_denied: Cannot change resource "${id}": ` +
    'it belongs to source "maestro", not to "another"';
  expect(outcomes).toEqual([foreign, foreign, foreign, foreign]);
  expect(own.row.source).toBe("another");
  expect(await refusal(writer.delete(own.row.id, other))).toBe("accepted");
});

test("a change with a receipt is made once, however often and from wherever it is tried", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const other = createResourceWriter({ ...specs, sourceId: "maestro" });
  const once = (receipt: string) => ({ ...BUNDLE, receipt });
  const add = (stored: ResourceDraft): ResourceDraft => ({
    ...stored,
    spec: { manifests: [...stored.spec.manifests, named(`m${stored.spec.manifests.length}`)] },
  });

  const creation = { draft: draft(consumer), firstVersion: 5 };
  const created = await Promise.all([
    writer.create(creation, once("c")),
    other.create(creation, once("c")),
    other.create(creation, once("c")),
  ]);
  const id = created[0].row.id;
  const patched = await Promise.all([
    writer.patch(id, add, once("p")),
    other.patch(id, add, once("p")),
  ]);
  const late = await other.patch(id, add, once("p"));

  expect(created.map(({ row }) => row.id)).toEqual([id, id, id]);
  expect(created.map(({ outcome }) => outcome)).toEqual(["created", "created", "created"]);
  expect(await count(db, "resources")).toBe(1);
  expect([...patched, late].map(({ row }) => row.version)).toEqual([6, 6, 6]);
  expect(JSON.parse(late.row.spec).manifests).toHaveLength(2);
});

test("a deletion with a receipt does not meet what was created since under the same id", async () => {
  await using specs = await openWriter();
  const { writer, consumer, db } = specs;
  const { row: { id } } = await writer.create({ draft: draft(consumer) }, BUNDLE);
  await writer.delete(id, { ...BUNDLE, receipt: "d" });
  await query(db, "delete from resources where id = $1", [id]);
  await writer.create({ id, draft: draft(consumer) }, BUNDLE);

  await writer.delete(id, { ...BUNDLE, receipt: "d" });

  const [row] = await query<{ deleted_at: string | null }>(
    db,
    "select deleted_at from resources where id = $1",
    [id],
  );
  expect(row).toEqual({ deleted_at: null });
});

function named(name: string) {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" } };
}
