/** The pulse of consumers: how it is kept, and what is made of it. */

import { expect, test } from "bun:test";
import { describeConnection } from "../../src/lib/consumer/connection.ts";
import { createConsumer, getConsumer } from "../../src/lib/consumer/consumers.ts";
import { createPulse, type Pulse } from "../../src/lib/consumer/pulse.ts";
import { query } from "../../src/lib/db/query.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";

interface Stage extends AsyncDisposable {
  database: TestDatabase;
  id: string;
  name: string;
  pulse: Pulse;
  /** Lets time pass for the pulse. */
  pass(seconds: number): void;
  /** Lets time pass for what is stored. */
  age(seconds: number): Promise<unknown>;
  /** How often the consumer's row was written. */
  writes(): Promise<number>;
}

async function open(): Promise<Stage> {
  const database = await createDatabase();
  const { id, name } = await createConsumer(database.db, {});
  await query(database.db, "create table writes (name text)", []);
  await query(
    database.db,
    "create function note() returns trigger language plpgsql as " +
      "'begin insert into writes values (new.name); return new; end'",
    [],
  );
  await query(
    database.db,
    "create trigger note after update on consumers for each row execute function note()",
    [],
  );
  let nowMs = 0;
  return {
    database,
    id,
    name,
    pulse: createPulse(database.db, () => nowMs),
    pass: (seconds) => void (nowMs += seconds * 1000),
    age: (seconds) =>
      query(
        database.db,
        "update consumers set last_seen_at = now() - make_interval(secs => $1::int)",
        [seconds],
      ),
    writes: async () =>
      (await query<{ n: number }>(database.db, "select count(*)::int as n from writes", []))[0]
        ?.n ?? 0,
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

test("a consumer that was never heard of is unknown, and has no pulse", async () => {
  await using stage = await open();

  const consumer = await getConsumer(stage.database.db, stage.id);

  expect(consumer.connection).toBe("unknown");
  expect(consumer).not.toContainAnyKeys(["last_seen_at", "agent_version"]);
});

test("a sign of life makes a consumer connected, with the version that its agent says", async () => {
  await using stage = await open();
  stage.pulse.heard(stage.name, "1.2.3");

  await stage.pulse.write();

  const consumer = await getConsumer(stage.database.db, stage.id);
  expect(consumer).toMatchObject({ connection: "connected", agent_version: "1.2.3" });
  expect(Date.now() - Date.parse(consumer.last_seen_at ?? "")).toBeLessThan(60_000);
});

test("a consumer that has been silent for some minutes is disconnected, and its version is still known", async () => {
  await using stage = await open();
  stage.pulse.heard(stage.name, "1.2.3");
  await stage.pulse.write();
  await stage.age(200);

  const consumer = await getConsumer(stage.database.db, stage.id);

  expect(consumer).toMatchObject({ connection: "disconnected", agent_version: "1.2.3" });
});

test("however often a consumer is heard of, it is written once a minute", async () => {
  await using stage = await open();

  for (let second = 0; second < 120; second++) {
    stage.pulse.heard(stage.name);
    await stage.pulse.write();
    if (second === 59) await stage.age(60);
    stage.pass(1);
  }

  // Two pulses; the third update is the one by which this test lets time pass.
  expect(await stage.writes()).toBe(3);
});

test("within the minute the database is not even asked", async () => {
  await using stage = await open();
  stage.pulse.heard(stage.name);
  await stage.pulse.write();
  await query(stage.database.db, "alter table consumers rename to hidden", []);

  stage.pass(59);
  stage.pulse.heard(stage.name);

  expect(await stage.pulse.write()).toBeFalse();
});

test("a connection that stays open keeps its consumer's pulse, though nothing is said", async () => {
  await using stage = await open();
  await stage.pulse.write([stage.name]);
  await stage.age(100);
  stage.pass(61);

  await stage.pulse.write([stage.name]);

  expect(await stage.writes()).toBe(3);
});

test("what another server has just written is not written again", async () => {
  await using stage = await open();
  const other = createPulse(stage.database.db, () => 0);
  stage.pulse.heard(stage.name, "1.2.3");
  other.heard(stage.name, "1.2.3");

  await stage.pulse.write();
  await other.write();

  expect(await stage.writes()).toBe(1);
});

test("what was heard a while ago is written as of then, and never puts the pulse back", async () => {
  await using stage = await open();
  stage.pulse.heard(stage.name);
  stage.pass(3600);

  await stage.pulse.write();
  const { last_seen_at: first } = await getConsumer(stage.database.db, stage.id);
  await stage.age(100);
  const late = createPulse(stage.database.db, () => 7_200_000);
  late.heard(stage.name);
  const { last_seen_at: before } = await getConsumer(stage.database.db, stage.id);
  stage.pulse.heard(stage.name);
  stage.pass(3600);
  await stage.pulse.write();

  const { last_seen_at: after } = await getConsumer(stage.database.db, stage.id);
  expect(Date.now() - Date.parse(first ?? "")).toBeGreaterThan(3_500_000);
  expect(after).toBe(before ?? "");
});

test("a version that nobody could read, and a name that nobody can have, harm nobody's pulse", async () => {
  await using stage = await open();
  stage.pulse.heard("no\0body", "1");
  stage.pulse.heard("nobody", "2");
  stage.pulse.heard(stage.name, "\u0000\u001b[31m");

  await stage.pulse.write();

  const consumer = await getConsumer(stage.database.db, stage.id);
  expect(consumer.connection).toBe("connected");
  expect(consumer).not.toHaveProperty("agent_version");
});

test("names longer than any consumer's are not kept, and nobody's pulse waits for them", async () => {
  await using stage = await open();
  for (let nth = 0; nth < 500; nth++) stage.pulse.heard(`${nth}-${"x".repeat(1_000)}`);
  stage.pulse.heard(stage.name);

  expect(await stage.pulse.write()).toBeFalse();

  expect(await stage.writes()).toBe(1);
});

test("a pulse that could not be written is written later", async () => {
  await using stage = await open();
  const { db } = stage.database;
  stage.pulse.heard(stage.name);
  await query(db, "alter table consumers rename to hidden", []);

  const failed = await stage.pulse.write().then(() => "written", () => "failed");
  await query(db, "alter table hidden rename to consumers", []);
  await stage.pulse.write();

  expect(failed).toBe("failed");
  expect((await getConsumer(db, stage.id)).connection).toBe("connected");
});

test("a silence is told in its largest unit", () => {
  const said = [null, 10, 151, 3_600 * 3 + 59, 86_400 * 2].map(describeConnection);

  expect(said).toEqual([
    "never seen",
    "connected",
    "last seen 2 min ago",
    "last seen 3 h ago",
    "last seen 2 d ago",
  ]);
});
