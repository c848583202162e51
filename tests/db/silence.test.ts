/** Connections that die without a sound, and a PostgreSQL that stands still. */

import { expect, test } from "bun:test";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { startListening } from "../../src/lib/db/listen.ts";
import { query } from "../../src/lib/db/query.ts";
import { startWatch } from "../../src/lib/db/watch.ts";
import { MaestroError } from "../../src/lib/errors.ts";
import { freePort } from "../../tools/ports.ts";
import { eventually } from "../harness/eventually.ts";
import { type LonePostgres, startLonePostgres } from "../harness/lone_postgres.ts";
import { testLogger } from "../harness/postgres.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";

const TIMEOUT_MS = 30_000;
/** What writes may take. */
const ANSWER_MS = 2_000;

/** A pool with a watch, as a server has it. */
function openWatched(stack: AsyncDisposableStack, postgres: LonePostgres, port?: number): Db {
  const address = { ...postgres.address, port: port ?? postgres.address.port };
  const db = stack.adopt(
    connect(address, {
      maxConnections: 4,
      applicationName: "watched",
      silentMsMax: 20_000,
      isOneByOne: true,
    }),
    (db) => db.end({ timeout: 0 }),
  );
  db.watch = stack.use(startWatch(db, testLogger()));
  return db;
}

/** How a statement ends, and after how long. */
async function outcome(db: Db, text = "select 1"): Promise<{ code: string; ms: number }> {
  const began = performance.now();
  const code = await query(db, text, []).then(
    () => "ok",
    (error) => error instanceof MaestroError ? error.code : String(error),
  );
  return { code, ms: performance.now() - began };
}

test(
  "a half-open connection is given up, and others take its place when the way is free",
  async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startLonePostgres());
    const port = freePort();
    const first = stack.use(await startTcpProxy(postgres.address.port, { port }));
    const db = openWatched(stack, postgres, port);
    await Promise.all([1, 2, 3, 4].map(() => query(db, "select pg_sleep(0.05)", [])));

    first.freeze();
    const hung = await Promise.all([outcome(db), outcome(db)]);
    const reason = db.watch?.reason();
    const refused = await outcome(db);
    await first[Symbol.asyncDispose]();
    stack.use(await startTcpProxy(postgres.address.port, { port }));
    await eventually(() => db.watch?.reason() === undefined);
    const after = await Promise.all(
      [1, 2, 3, 4, 5, 6].map(() => outcome(db, "select pg_sleep(0.05)")),
    );

    expect(hung.map(({ code }) => code)).toEqual(["unavailable", "unavailable"]);
    expect(Math.max(...hung.map(({ ms }) => ms))).toBeLessThan(ANSWER_MS);
    expect(reason).toContain("the database cannot be used: nothing was heard for");
    expect(refused.code).toBe("unavailable");
    expect(refused.ms).toBeLessThan(ANSWER_MS / 4);
    expect(after.map(({ code }) => code)).toEqual(Array(6).fill("ok"));
  },
  TIMEOUT_MS,
);

test(
  "a PostgreSQL that stands still is noticed within two seconds, and so is its return",
  async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startLonePostgres());
    const db = openWatched(stack, postgres);
    await query(db, "create table notes (text text)", []);

    postgres.stall();
    const hung = await outcome(db, "insert into notes values ('perhaps')");
    postgres.resume();
    await eventually(() => db.watch?.reason() === undefined);
    const after = await outcome(db, "insert into notes values ('surely')");
    const rows = await query<{ text: string }>(
      db,
      "select text from notes where text = 'surely'",
      [],
    );

    expect(hung.code).toBe("unavailable");
    expect(hung.ms).toBeLessThan(ANSWER_MS);
    expect(after.code).toBe("ok");
    expect(rows).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test("one connection that hangs holds up no other statement, and is thrown away", async () => {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startLonePostgres());
  const proxy = stack.use(await startTcpProxy(postgres.address.port));
  const address = { ...postgres.address, port: proxy.port };
  const db = stack.adopt(
    connect(address, {
      maxConnections: 2,
      applicationName: "hung",
      silentMsMax: 1_500,
      isOneByOne: true,
    }),
    (db) => db.end({ timeout: 0 }),
  );

  await Promise.all([1, 2].map(() => outcome(db, "select pg_sleep(0.05)")));
  // A statement that takes for ever is as silent as a dead connection.
  const hung = outcome(db, "select pg_sleep(60)");
  const meanwhile = await Promise.all([1, 2, 3, 4, 5].map(() => outcome(db)));
  const ended = await hung;
  const after = await Promise.all([1, 2, 3].map(() => outcome(db, "select pg_sleep(0.05)")));

  expect(meanwhile.map(({ code }) => code)).toEqual(Array(5).fill("ok"));
  expect(Math.max(...meanwhile.map(({ ms }) => ms))).toBeLessThan(1_000);
  expect(ended.code).toBe("unavailable");
  expect(after.map(({ code }) => code)).toEqual(Array(3).fill("ok"));
}, TIMEOUT_MS);

test("a half-open LISTEN is noticed, and heard again afterwards", async () => {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startLonePostgres());
  const port = freePort();
  const first = stack.use(await startTcpProxy(postgres.address.port, { port }));
  const db = stack.adopt(
    connect({ ...postgres.address, port }, { maxConnections: 1, applicationName: "test" }),
    (db) => db.end({ timeout: 0 }),
  );
  const direct = stack.adopt(
    connect(postgres.address, { maxConnections: 1, applicationName: "test" }),
    (db) => db.end({ timeout: 0 }),
  );
  const heard: string[] = [];
  let begun = 0;
  const fruit = { heard: (text: string) => void heard.push(text), caughtUp: () => void begun++ };
  stack.use(startListening(db, { fruit }, testLogger()));
  await eventually(() => begun === 1);
  await query(direct, "select pg_notify('fruit', 'apple')", []);
  await eventually(() => heard.includes("apple"));

  first.freeze();
  await query(direct, "select pg_notify('fruit', 'pear')", []);
  // Nothing tells the listener that it is deaf: only its own pulse does.
  await eventually(() => first.connections === 0, Boolean, { timeoutMs: 20_000 });
  await first[Symbol.asyncDispose]();
  stack.use(await startTcpProxy(postgres.address.port, { port }));
  await eventually(() => begun > 1, Boolean, { timeoutMs: 20_000 });
  await query(direct, "select pg_notify('fruit', 'plum')", []);
  await eventually(() => heard.includes("plum"));

  // What was said meanwhile is lost; whoever listens looks for it when it is told so.
  expect(heard).toEqual(["apple", "plum"]);
}, TIMEOUT_MS);
