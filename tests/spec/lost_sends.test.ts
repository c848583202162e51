/** M1 and M2: what was accepted is sent, whoever dies and whatever is not heard. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { EXT } from "../../src/lib/wire/event.ts";
import { reportEvent, specEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { deafen, newConsumer, runFlows } from "../harness/flows.ts";
import { connectPeer } from "../harness/grpc.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";
import { startServer } from "../harness/programs.ts";

const DOOMED = join(import.meta.dir, "../harness/die_in_publish.ts");

/** Accepts a resource in this process, which sends nothing. */
async function acceptOnly({ db }: TestDatabase, consumerName: string): Promise<string> {
  const id = crypto.randomUUID();
  const event = specEvent("create_request", { id, consumerName });
  await createAcceptor(db).create({
    ...{ id, name: id, source: "tests", consumerName, type: "Bundle", version: 1 },
    ...{ spec: event.data ?? "", event },
  });
  return id;
}

test("M1: a server killed between accepting and sending has sent it after its restart", async () => {
  await using database = await createDatabase();
  const consumerName = await newConsumer(database.db);
  const id = crypto.randomUUID();
  const first = await startServer({ databaseUrl: database.url });
  using source = connectPeer(first.sources);
  const refusal = await source.publish(specEvent("create_request", { id, consumerName }));
  await first.kill("SIGKILL");

  await using second = await startServer({ databaseUrl: database.url });
  using agent = connectPeer(second.agents);
  // It sends no resync request: delivery must not depend on one.
  const { events } = await agent.subscribe({ clusterName: consumerName });

  expect(refusal).toBeUndefined();
  const event = await eventually(() => events[0]);
  expect(event?.extensions[EXT.resourceId]).toBe(id);
  expect(event?.type).toEndWith("create_request");
});

test("M1: a server killed after claiming and before sending loses nothing", async () => {
  await using database = await createDatabase();
  const consumerName = await newConsumer(database.db);
  const id = await acceptOnly(database, consumerName);
  const doomed = Bun.spawn([process.execPath, DOOMED, database.url, consumerName]);
  await doomed.exited;
  const [row] = await database.db`select count(*)::int as waiting from events`;

  await using flows = await runFlows(database.db);
  using agent = connectPeer(flows.agents);
  const { events } = await agent.subscribe({ clusterName: consumerName });

  expect(doomed.signalCode).toBe("SIGKILL");
  // The outbox has forgotten it; only the ledger knows.
  expect(row?.waiting).toBe(0);
  const event = await eventually(() => events[0]);
  expect(event?.extensions[EXT.resourceId]).toBe(id);
});

test("M2: with every notification lost, a create is sent within a sweep", async () => {
  await using database = await createDatabase();
  const consumerName = await newConsumer(database.db);
  await using flows = await runFlows(deafen(database.db));
  using agent = connectPeer(flows.agents);
  const { events } = await agent.subscribe({ clusterName: consumerName });

  const id = await acceptOnly(database, consumerName);

  // Below the interval of redelivery, which would find it too.
  const event = await eventually(() => events[0], Boolean, { timeoutMs: 3_000 });
  expect(event?.extensions[EXT.resourceId]).toBe(id);
});

test("M2: with every notification lost, a status reaches its source within a sweep", async () => {
  await using database = await createDatabase();
  const consumerName = await newConsumer(database.db);
  await using flows = await runFlows(deafen(database.db));
  using peer = connectPeer(flows.sources);
  using agent = connectPeer(flows.agents);
  const { events } = await peer.subscribe({ source: "tests" });
  const id = await acceptOnly(database, consumerName);

  await agent.publish(reportEvent({ id, consumerName }));

  const event = await eventually(() => events[0], Boolean, { timeoutMs: 3_000 });
  expect(event?.extensions[EXT.resourceId]).toBe(id);
});
