/** What PostgreSQL says when it cannot: no connection left, read-only after a failover, collisions, a full disk. */

import { expect, test } from "bun:test";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { query, runScript } from "../../src/lib/db/query.ts";
import { startWatch } from "../../src/lib/db/watch.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { eventually } from "../harness/eventually.ts";
import { startLonePostgres } from "../harness/lone_postgres.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { newResource } from "../spec/specs.ts";

const TIMEOUT_MS = 60_000;

/** Creates resources, some at a time, and tells which were accepted and how the others were refused. */
async function createMany(
  db: Db,
  count: number,
  atOnce: number,
): Promise<{ accepted: string[]; refusals: string[] }> {
  const acceptor = createAcceptor(db);
  const { name } = await createConsumer(db, {});
  const accepted: string[] = [];
  const refusals: string[] = [];
  for (let begun = 0; begun < count; begun += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, async () => {
      const resource = newResource(name);
      try {
        await acceptor.create(resource);
        accepted.push(resource.id);
      } catch (error) {
        refusals.push(error instanceof MaestroError ? error.code : String(error));
      }
    }));
  }
  return { accepted, refusals };
}

async function stored(db: Db): Promise<string[]> {
  return (await query<{ id: string }>(db, "select id::text as id from resources", [])).map((row) =>
    row.id
  );
}

/** Lets every n-th inserted resource fail with this SQLSTATE; `what` is a row or the whole statement. */
async function failEvery(db: Db, n: number, sqlState: string, what: "row" | "statement") {
  await runScript(
    db,
    `create sequence fault_count;
    create function fault() returns trigger language plpgsql as $$
    begin
      if nextval('fault_count') % ${n} = 0 then
        raise exception 'made up' using errcode = '${sqlState}';
      end if;
      return new;
    end $$;
    create trigger fault before insert on resources for each ${what} execute function fault();`,
  );
}

test("a serialization failure on every tenth statement is met by trying again", async () => {
  await using database = await createDatabase();
  await failEvery(database.db, 10, "40001", "statement");

  const { accepted, refusals } = await createMany(database.db, 100, 1);

  expect(refusals).toEqual([]);
  expect((await stored(database.db)).sort()).toEqual(accepted.sort());
}, TIMEOUT_MS);

test("a row that always collides is refused alone, and what is accepted is stored", async () => {
  await using database = await createDatabase();
  await failEvery(database.db, 10, "40001", "row");

  const { accepted, refusals } = await createMany(database.db, 300, 30);

  expect(new Set(refusals).size).toBeLessThan(2);
  expect(accepted.length).toBeGreaterThan(200);
  expect((await stored(database.db)).sort()).toEqual(accepted.sort());
}, TIMEOUT_MS);

test(
  "with a full disk what is accepted is stored, and the others are refused as unavailable",
  async () => {
    await using database = await createDatabase();
    await failEvery(database.db, 3, "53100", "statement");

    const { accepted, refusals } = await createMany(database.db, 90, 3);

    expect(new Set(refusals)).toEqual(new Set(["unavailable"]));
    expect(accepted.length).toBeGreaterThan(30);
    expect((await stored(database.db)).sort()).toEqual(accepted.sort());
  },
  TIMEOUT_MS,
);

test("a row that somebody else has locked is refused alone, after half a second", async () => {
  await using database = await createDatabase({ maxConnections: 6 });
  const { db, address } = database;
  await using stack = new AsyncDisposableStack();
  const limited = stack.adopt(
    connect(address, { maxConnections: 4, applicationName: "limited", lockTimeoutMs: 500 }),
    (db) => db.end({ timeout: 1 }),
  );
  const { name } = await createConsumer(db, {});
  const [locked, free] = [newResource(name), newResource(name)];
  const acceptor = createAcceptor(limited);
  await acceptor.create(locked);
  await acceptor.create(free);

  const release = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = db.begin(async (sql) => {
    await sql.unsafe("select 1 from resources where id = $1 for update", [locked.id]);
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const began = performance.now();
  const ends = await Promise.allSettled([locked, free].map(({ id }) => acceptor.delete({ id })));
  const ms = performance.now() - began;
  release.resolve();
  await holding;

  expect(ends.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  expect(ends[0]).toMatchObject({ reason: { code: "unavailable" } });
  expect(ms).toBeLessThan(2_000);
}, TIMEOUT_MS);

test(
  "a database without connections left is unavailable, and usable once there are some",
  async () => {
    await using postgres = await startLonePostgres({
      max_connections: "12",
      superuser_reserved_connections: "0",
      reserved_connections: "0",
    });
    await using stack = new AsyncDisposableStack();
    const greedy = stack.adopt(
      connect(postgres.address, { maxConnections: 20, applicationName: "greedy" }),
      (db) => db.end({ timeout: 1 }),
    );
    // At once, so that each has a connection, which it keeps; some get none any more.
    await Promise.allSettled(
      Array.from({ length: 20 }, () => query(greedy, "select pg_sleep(0.5)", [])),
    );
    const db = stack.adopt(
      connect(postgres.address, { maxConnections: 4, applicationName: "test", isOneByOne: true }),
      (db) => db.end({ timeout: 1 }),
    );
    const refused = await query(db, "select 1", []).catch((error: MaestroError) => error);
    db.watch = stack.use(startWatch(db, testLogger()));
    const reason = await eventually(() => db.watch?.reason());
    await greedy.end({ timeout: 0 });
    await eventually(() => db.watch?.reason() === undefined);
    const after = await query(db, "select 1 as one", []);

    expect(refused).toMatchObject({ code: "unavailable" });
    expect(refused).toMatchObject({ message: expect.stringContaining("too many clients") });
    expect(reason).toContain("too many clients");
    expect(after).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test("after a failover to a standby writes are unavailable, until it is promoted", async () => {
  await using postgres = await startLonePostgres();
  await using stack = new AsyncDisposableStack();
  const db = stack.adopt(
    connect(postgres.address, { maxConnections: 4, applicationName: "test", isOneByOne: true }),
    (db) => db.end({ timeout: 1 }),
  );
  db.watch = stack.use(startWatch(db, testLogger()));
  const first = await createMany(db, 5, 5);
  const consumer = await createConsumer(db, {});
  const acceptor = createAcceptor(db);

  await postgres.failOver();
  const reason = await eventually(
    () => db.watch?.reason(),
    (text) => text?.includes("read-only") === true,
    { timeoutMs: 10_000 },
  );
  const write = await acceptor.create(newResource(consumer.name)).then(
    () => "accepted",
    (error: MaestroError) => error.code,
  );
  const read = await stored(db);
  await postgres.promote();
  await eventually(() => db.watch?.reason() === undefined);
  const again = newResource(consumer.name);
  await acceptor.create(again);

  expect(reason).toContain("read-only");
  expect(write).toBe("unavailable");
  expect(read.sort()).toEqual(first.accepted.sort());
  expect((await stored(db)).sort()).toEqual([...first.accepted, again.id].sort());
}, TIMEOUT_MS);
