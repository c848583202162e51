/** Who is woken after a commit: this server by itself, others by a notification, nobody twice. */

import { expect, test } from "bun:test";
import { startListening } from "../../src/lib/db/listen.ts";
import { createWakes, type Wakes } from "../../src/lib/db/wakes.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase, type TestDatabase, testLogger } from "../harness/postgres.ts";

interface Server extends AsyncDisposable {
  wakes: Wakes;
  /** The consumers that it was woken for, a dash if nobody was named, and a star for each wake for statuses. */
  woken: string[];
}

async function startServer({ db }: TestDatabase): Promise<Server> {
  await using stack = new AsyncDisposableStack();
  const woken: string[] = [];
  const sleepers = {
    specs: (names: string[]) => void woken.push(...names.length === 0 ? ["-"] : names),
    statuses: () => void woken.push("*"),
  };
  const wakes = stack.use(createWakes(db, sleepers, testLogger()));
  stack.use(startListening(db, wakes.channels, testLogger()));
  // Whoever has begun to listen looks for what it has missed.
  await eventually(() => woken.length, (count) => count > 0);
  woken.length = 0;
  const owned = stack.move();
  return { wakes, woken, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Waits until a notification that is sent now has come to both; each server's own come in their order. */
async function settle(servers: Server[]): Promise<void> {
  for (const { wakes } of servers) wakes.specs(["last"]);
  const count = ({ woken }: Server) => woken.filter((name) => name === "last").length;
  await eventually(() => servers.map(count), (counts) => counts.every((n) => n === servers.length));
}

test("a server wakes itself at once, and others by a notification that it passes over itself", async () => {
  await using database = await createDatabase();
  await using one = await startServer(database);
  await using other = await startServer(database);

  one.wakes.specs(["a", "b"]);
  one.wakes.statuses();
  const atOnce = [...one.woken];
  await settle([one, other]);

  const apart = ({ woken }: Server) => woken.filter((name) => name !== "last").toSorted();
  expect(atOnce).toEqual(["a", "b", "*"]);
  expect(apart(one)).toEqual(["*", "a", "b"]);
  expect(apart(other)).toEqual(["*", "a", "b"]);
});

test("specs that have been sent wake those who watch, here and on other servers", async () => {
  await using database = await createDatabase();
  await using one = await startServer(database);
  await using other = await startServer(database);

  one.wakes.specs([]);
  await settle([one, other]);

  const apart = ({ woken }: Server) => woken.filter((name) => name !== "last");
  expect([one, other].map(apart)).toEqual([["-"], ["-"]]);
});

test("more consumers than one notification can name are all woken", async () => {
  await using database = await createDatabase();
  await using one = await startServer(database);
  await using other = await startServer(database);
  const names = Array.from({ length: 300 }, (_, n) => `${"long-".repeat(10)}${n}`);

  one.wakes.specs(names);
  await settle([one, other]);

  expect(other.woken.filter((name) => name !== "last").toSorted()).toEqual(names.toSorted());
});

test("what is stored while a notification is on its way goes with the next, however much it is", async () => {
  await using database = await createDatabase();
  await using one = await startServer(database);
  await using other = await startServer(database);
  const ROUNDS = 200;

  for (let round = 0; round < ROUNDS; round++) {
    one.wakes.specs([`c${round}`]);
    one.wakes.statuses();
  }
  await settle([one, other]);

  const named = other.woken.filter((name) => name.startsWith("c"));
  expect(new Set(named).size).toBe(ROUNDS);
  expect(named).toHaveLength(ROUNDS);
  expect(other.woken.filter((name) => name === "*").length).toBeLessThan(5);
});

test("a notification of a server of before, which says nothing of itself, wakes everybody", async () => {
  await using database = await createDatabase();
  await using one = await startServer(database);

  await database.db`select pg_notify('spec_events', 'a,b'), pg_notify('changes', '')`;

  await eventually(() => one.woken.toSorted(), (woken) => woken.length === 3);
  expect(one.woken.toSorted()).toEqual(["*", "a", "b"]);
});

test("nothing waits for notifications, and nothing comes of one that fails", async () => {
  await using database = await createDatabase();
  const woken: string[] = [];
  const sleepers = {
    specs: (names: string[]) => void woken.push(...names),
    statuses: () => void woken.push("*"),
  };
  {
    await using wakes = createWakes(database.db, sleepers, testLogger());
    // Longer than any notification may be.
    wakes.specs(["x".repeat(9_000)]);
    wakes.statuses();
  }

  expect(woken).toEqual(["x".repeat(9_000), "*"]);
});
