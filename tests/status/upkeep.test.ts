/** How the feed is kept small: partitions by the hour, what is dropped, and what holds it back. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query, runScript } from "../../src/lib/db/query.ts";
import { readNow, readPage } from "../../src/lib/status/feed_page.ts";
import { keepFeed } from "../../src/lib/status/upkeep.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { openSpecs } from "../spec/specs.ts";

const DAY = { retentionSeconds: 24 * 3600, heldSeconds: 60 };

async function partitions(db: Db): Promise<string[]> {
  const rows = await query<{ name: string }>(
    db,
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'changes'::regclass " +
      "order by 1",
    [],
  );
  return rows.map(({ name }) => name);
}

/** Makes a partition for an hour long ago, with one entry that a cursor of now may not have seen. */
async function oldPartition(db: Db, hour: string): Promise<string> {
  const name = `changes_${hour.replaceAll(/\D/g, "").slice(0, 10)}`;
  await runScript(
    db,
    `create table ${name} partition of changes
      for values from ('${hour}:00:00+00') to (timestamptz '${hour}:00:00+00' + interval '1 hour');
    insert into changes (kind, resource_id, source, consumer_name, created_at, resource_created_at)
    values ('spec', 'a', 's', 'c', '${hour}:30:00+00', now());`,
  );
  return name;
}

async function count(db: Db, from: string): Promise<number> {
  const [row] = await query<{ count: string }>(db, `select count(*) as count from ${from}`, []);
  return Number(row?.count);
}

test("upkeep makes partitions ahead of time, and a change lands in that of its hour", async () => {
  await using specs = await openSpecs();

  await keepFeed(specs.db, testLogger(), DAY);
  await specs.create();
  await query(specs.db, "update changes set created_at = now() + interval '3 hours'", []);

  expect((await partitions(specs.db)).length).toBeGreaterThanOrEqual(6);
  expect([await count(specs.db, "changes_default"), await count(specs.db, "changes")]).toEqual([
    ...[0, 1],
  ]);
});

test("an hour that has begun gets no partition, as a statement under way would fail", async () => {
  await using specs = await openSpecs();

  await keepFeed(specs.db, testLogger(), DAY);

  const [row] = await query<{ name: string }>(
    specs.db,
    "select 'changes_' || to_char(now(), 'YYYYMMDDHH24') as name",
    [],
  );
  const made = (await partitions(specs.db)).filter((name) => name !== "changes_default");
  expect(made.length).toBeGreaterThanOrEqual(5);
  expect(made.every((name) => name > (row?.name ?? ""))).toBeTrue();
});

test("no change fails while partitions are made", async () => {
  await using specs = await openSpecs();
  const made = Promise.withResolvers<void>();
  let created = 0;
  const writing = (async () => {
    for (let isMade = false; !isMade; created++) {
      await Promise.all([specs.create(), specs.create(), specs.create()]);
      isMade = await Promise.race([made.promise.then(() => true), Bun.sleep(0).then(() => false)]);
    }
  })();

  for (let round = 0; round < 20; round++) {
    await keepFeed(specs.db, testLogger(), DAY);
    const names = (await partitions(specs.db)).filter((name) => name !== "changes_default");
    await runScript(specs.db, names.map((name) => `drop table ${name};`).join(""));
  }
  made.resolve();
  await writing;

  expect(await count(specs.db, "changes")).toBe(created * 3);
});

test("without any partition no change fails, and its hour goes on without one", async () => {
  await using specs = await openSpecs();
  await specs.create();

  await keepFeed(specs.db, testLogger(), DAY);
  await specs.create();

  const now = await query<{ name: string }>(
    specs.db,
    "select 'changes_' || to_char(now(), 'YYYYMMDDHH24') as name",
    [],
  );
  expect(await count(specs.db, "changes_default")).toBe(2);
  expect(await partitions(specs.db)).not.toContain(now[0]?.name ?? "");
});

test("a partition older than the retention is dropped, after which a cursor before it has a gap", async () => {
  await using specs = await openSpecs();
  const before = await readNow(specs.db);
  const name = await oldPartition(specs.db, "2020-01-02 03");
  const { next } = await readPage(specs.db, before, undefined);

  await keepFeed(specs.db, testLogger(), DAY);

  expect(await partitions(specs.db)).not.toContain(name);
  await expect(readPage(specs.db, before, undefined)).rejects.toMatchObject({ code: "gone" });
  expect((await readPage(specs.db, next, undefined)).changes).toEqual([]);
});

test("entries of the default partition are purged by age, after which a cursor before them has a gap", async () => {
  await using specs = await openSpecs();
  const before = await readNow(specs.db);
  await specs.create();
  await query(specs.db, "update changes set created_at = now() - interval '2 days'", []);

  await keepFeed(specs.db, testLogger(), DAY);

  expect(await count(specs.db, "changes")).toBe(0);
  await expect(readPage(specs.db, before, undefined)).rejects.toMatchObject({ code: "gone" });
});

test("many servers keep the feed at once: none fails, and each thing is done once", async () => {
  await using specs = await openSpecs();
  const old = await oldPartition(specs.db, "2020-01-02 03");
  const lines: string[] = [];
  const log = testLogger((line) => lines.push(line));

  await Promise.all(Array.from({ length: 6 }, () => keepFeed(specs.db, log, DAY)));
  await keepFeed(specs.db, log, DAY);

  const names = await partitions(specs.db);
  expect(names).not.toContain(old);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(6);
});

test("upkeep waits for no reader: what is in the way is dropped the next time", async () => {
  await using specs = await openSpecs();
  const old = await oldPartition(specs.db, "2020-01-02 03");
  const lines: string[] = [];
  const leave = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const reader = specs.db.begin(async (tx) => {
    await tx.unsafe("select count(*) from changes");
    entered.resolve();
    await leave.promise;
  });
  await entered.promise;

  await keepFeed(specs.db, testLogger((line) => lines.push(line)), DAY);
  const meanwhile = await partitions(specs.db);
  await specs.create();
  leave.resolve();
  await reader;
  await keepFeed(specs.db, testLogger(), DAY);

  expect(meanwhile).toContain(old);
  expect(lines.join("")).toContain("a partition of the change feed has to wait");
  expect(await partitions(specs.db)).not.toContain(old);
});

test("a foreign transaction that holds the feed back is reported, with for how long and whose it is", async () => {
  await using specs = await openSpecs();
  const lines: string[] = [];
  const leave = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const holder = specs.db.begin(async (tx) => {
    await tx.unsafe("set local application_name = 'a foreigner'; select pg_current_xact_id()");
    entered.resolve();
    await leave.promise;
  });
  await entered.promise;
  await specs.create();
  await query(specs.db, "update changes set created_at = now() - interval '5 min'", []);

  await keepFeed(specs.db, testLogger((line) => lines.push(line)), DAY);
  leave.resolve();
  await holder;

  const line = JSON.parse(lines.find((one) => one.includes("holds the change feed back")) ?? "{}");
  expect(line.for_seconds).toBeWithin(299, 400);
  expect(line.holder).toContain('"a foreigner", idle in transaction');
});

test("entries that a restored copy brought from a later time are forgotten and make no gap", async () => {
  await using specs = await openSpecs();
  const now = await readNow(specs.db);
  await query(
    specs.db,
    "insert into changes (xid, kind, resource_id, source, consumer_name, created_at, resource_created_at) " +
      "select (pg_current_xact_id()::text::bigint + 1000000)::text::xid8, 'spec', 'a', 's', 'c', " +
      "now() - interval '2 days', now()",
    [],
  );

  await keepFeed(specs.db, testLogger(), DAY);

  expect(await count(specs.db, "changes")).toBe(0);
  expect((await readPage(specs.db, now, undefined)).changes).toEqual([]);
});

test("a dump that is restored is another feed", async () => {
  await using specs = await openSpecs();
  const now = await readNow(specs.db);

  // What a restore does: the same rows in a table of its own.
  await runScript(
    specs.db,
    "create table copy as table feed; drop table feed; alter table copy rename to feed;",
  );

  await expect(readPage(specs.db, now, undefined)).rejects.toMatchObject({
    message: expect.stringContaining("another database"),
  });
});

test("a user who owns nothing reads and keeps the feed, with the default partition alone", async () => {
  await using database = await createDatabase({ maxConnections: 1 });
  const lines: string[] = [];
  const role = `plain_${crypto.randomUUID().replaceAll("-", "")}`;
  await runScript(
    database.db,
    `create role ${role};
    grant select, insert, update, delete on all tables in schema public to ${role};
    grant usage on all sequences in schema public to ${role};`,
  );
  await query(database.db, `set role ${role}`, []);

  await keepFeed(database.db, testLogger((line) => lines.push(line)), DAY);
  const page = await readPage(database.db, await readNow(database.db), undefined);
  await query(database.db, "reset role", []);
  await runScript(database.db, `drop owned by ${role}; drop role ${role};`);

  expect(page.isLast).toBeTrue();
  expect(lines.join("")).toContain("a partition of the change feed has to wait");
});
