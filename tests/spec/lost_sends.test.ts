/** M1 and M2: what was accepted is sent, whoever dies and whatever is not heard. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import type { Doom } from "../harness/die_in_publish.ts";
import type { LastAccept } from "../harness/die_after_accept.ts";
import { openDoors } from "../harness/doors.ts";
import { bundle, specEvent, statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { openPublisher, publish, subscribe } from "../harness/grpc.ts";
import { createDatabase, type TestDatabase, testLogger } from "../harness/postgres.ts";
import { startServer } from "../harness/programs.ts";

const DOOMED = join(import.meta.dir, "../harness/die_in_publish.ts");
const SHORT_LIVED = join(import.meta.dir, "../harness/die_after_accept.ts");
/** Below the interval of redelivery, which would find a lost create too. */
const SWEEP = { timeoutMs: 3_000 };
const MANY_STARTS_MS = 60_000;

/** Accepts a resource in this process, which sends nothing. */
async function acceptOnly({ db }: TestDatabase, consumerName: string): Promise<string> {
  const id = crypto.randomUUID();
  const event = specEvent({ id, consumerName });
  await createAcceptor(db).create({
    ...{ id, name: id, source: "tests", consumerName, type: "Bundle", version: 1 },
    ...{ spec: bundle(), event },
  });
  return id;
}

test("M1: a server killed between accepting and sending has sent it after its restart", async () => {
  await using database = await createDatabase();
  const consumerName = "killed-before-claim";
  await database.db`insert into consumers (id, name) values (${consumerName}, ${consumerName})`;
  const id = crypto.randomUUID();
  const first = await startServer({ databaseUrl: database.url, isFromSource: true });
  await publish(`127.0.0.1:${first.sources}`, specEvent({ id, consumerName }));
  await first.kill("SIGKILL");

  await using second = await startServer({ databaseUrl: database.url, isFromSource: true });
  // It sends no resync request: delivery must not depend on one.
  const agent = await subscribe(`127.0.0.1:${second.agents}`, { clusterName: consumerName });

  const event = await agent.waitFor((event) => event.extensions.resourceid === id);
  expect(event.type).toEndWith("create_request");
  agent.close();
});

test("M1: a server killed when an accept has committed, before anything else, loses nothing", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer("killed-after-accept");
  const id = crypto.randomUUID();
  const last: LastAccept = [doors.database.url, consumerName, id];
  const doomed = Bun.spawn([process.execPath, SHORT_LIVED, ...last]);
  await doomed.exited;

  const agent = await subscribe(doors.agents, { clusterName: consumerName });

  expect(doomed.signalCode).toBe("SIGKILL");
  await agent.waitFor((event) => event.extensions.resourceid === id);
  agent.close();
});

test("M1: of a server killed at any moment under load all that it accepted is sent", async () => {
  await using database = await createDatabase();
  const consumerName = "killed-under-load";
  await database.db`insert into consumers (id, name) values (${consumerName}, ${consumerName})`;
  const accepted: string[] = [];
  for (const delayMs of [5, 40, 150]) {
    await using server = await startServer({ databaseUrl: database.url, isFromSource: true });
    // Its agent takes events all the while, so that the kill also meets claims and sends.
    const agent = await subscribe(`127.0.0.1:${server.agents}`, { clusterName: consumerName });
    using publisher = openPublisher(`127.0.0.1:${server.sources}`);
    const before = accepted.length;
    const calls = Array.from({ length: 300 }, async () => {
      const id = crypto.randomUUID();
      await publisher.publish(specEvent({ id, consumerName }));
      accepted.push(id);
    });
    const settled = Promise.allSettled(calls);
    await eventually(() => accepted.length > before);
    await Bun.sleep(delayMs);
    await server.kill("SIGKILL");
    await settled;
    agent.close();
  }

  await using server = await startServer({ databaseUrl: database.url, isFromSource: true });
  const agent = await subscribe(`127.0.0.1:${server.agents}`, { clusterName: consumerName });

  // Nothing was reported, so all of it is owed; more may come than was answered with OK.
  const missing = () => {
    const seen = new Set(agent.events.map((event) => event.extensions["resourceid"]));
    return accepted.filter((id) => !seen.has(id));
  };
  await eventually(missing, (ids) => ids.length === 0, { timeoutMs: 20_000 });
  agent.close();
}, MANY_STARTS_MS);

test("M1: a server killed after claiming and before sending loses nothing", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer("killed-after-claim");
  const id = await acceptOnly(doors.database, consumerName);
  const doom: Doom = [doors.database.url, consumerName];
  const doomed = Bun.spawn([process.execPath, DOOMED, ...doom]);
  await doomed.exited;
  const [row] = await doors.db`select count(*)::int as waiting from events`;

  const agent = await subscribe(doors.agents, { clusterName: consumerName });

  expect(doomed.signalCode).toBe("SIGKILL");
  // The outbox has forgotten it; only the ledger knows.
  expect(row?.waiting).toBe(0);
  await agent.waitFor((event) => event.extensions.resourceid === id);
  agent.close();
});

test("M2: with every notification lost, a create is sent within a sweep", async () => {
  await using doors = await openDoors({ isDeaf: true });
  const consumerName = await doors.consumer("deaf-down");
  const agent = await subscribe(doors.agents, { clusterName: consumerName });

  // What comes first may be found because the agent has just come, what comes then by a sweep alone.
  for (let time = 0; time < 2; time++) {
    const id = await acceptOnly(doors.database, consumerName);
    await agent.waitFor((event) => event.extensions.resourceid === id, SWEEP);
  }
  agent.close();
});

test("M2: with every notification lost, a status reaches its source within a sweep", async () => {
  await using doors = await openDoors({ isDeaf: true });
  const consumerName = await doors.consumer("deaf-up");
  const source = await subscribe(doors.sources, { source: "tests" });
  const id = await acceptOnly(doors.database, consumerName);

  // As another server does, which wakes none but itself.
  const report = readReport(statusEvent({ id, consumerName }), "maestro");
  await createReportAcceptor(doors.db, testLogger())(report);

  await source.waitFor((event) => event.extensions.resourceid === id, SWEEP);
  source.close();
});
