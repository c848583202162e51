/** What survives when the broker dies, the server dies, or a connection is only half there. */

import { expect, test } from "bun:test";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Doom } from "../harness/die_in_publish.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle, statusEvent } from "../harness/events.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { type Server, startServer } from "../harness/programs.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { newResource, newUpdate } from "../spec/specs.ts";
import { brokerFile, joinAgent, known, openHub, progress } from "./hub.ts";
import { openPublisher } from "./publisher.ts";

const TIMEOUT_MS = 120_000;
const PATIENCE = { timeoutMs: 60_000, intervalMs: 50 };

const named = (name: string) => bundle().replace('"name":"a"', `"name":"${name}"`);

/** A server in a process of its own, that can be killed and started again. */
function mqttServer(
  stack: AsyncDisposableStack,
  broker: Mosquitto,
  databaseUrl: string,
): () => Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "maestro-mqtt-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(broker.port));
  const args = ["--message-broker-type=mqtt", "--message-broker-config-file", file];
  return async () => {
    const server = stack.use(
      await startServer({
        databaseUrl,
        isFromSource: true,
        args: [...args, "--client-id", "maestro-1", "--log-level=debug"],
      }),
    );
    // It serves before its broker takes it, and what is published before that nobody hears.
    const health = `http://127.0.0.1:${server.health}/healthcheck`;
    await eventually(async () => (await fetch(health)).ok);
    return server;
  };
}

async function fill(db: Db, consumerName: string, count: number): Promise<void> {
  const acceptor = createAcceptor(db);
  for (let from = 0; from < count; from += 5_000) {
    await Promise.all(
      Array.from(
        { length: Math.min(5_000, count - from) },
        (_, index) =>
          acceptor.create(newResource(consumerName, { spec: named(`cm-${from + index}`) })),
      ),
    );
  }
}

test("5,000 reports are all stored though broker and server are killed among them", async () => {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await startMosquitto());
  const database = stack.use(await createDatabase());
  const start = mqttServer(stack, broker, database.url);
  const first = await start();
  const { name: consumer } = await createConsumer(database.db, {});
  stack.use(await joinAgent(broker.port, consumer));
  await fill(database.db, consumer, 5_000);

  await eventually(() => progress(database), ({ applied }) => applied > 500, PATIENCE);
  await Promise.all([broker.kill("SIGKILL"), first.kill("SIGKILL")]);
  const killed = await progress(database);
  await broker.start();
  await start();
  const ended = await eventually(
    () => progress(database),
    ({ applied }) => applied === 5_000,
    PATIENCE,
  );

  expect(killed.applied).toBeLessThan(5_000);
  expect(ended).toEqual({ total: 5_000, applied: 5_000 });
}, TIMEOUT_MS);

test(
  "a report is acknowledged after its commit: a server that dies before gets it again",
  async () => {
    await using stack = new AsyncDisposableStack();
    const broker = stack.use(await startMosquitto());
    const database = stack.use(await createDatabase());
    const start = mqttServer(stack, broker, database.url);
    const first = await start();
    const { name: consumerName } = await createConsumer(database.db, {});
    const resource = newResource(consumerName);
    const { id } = resource;
    await createAcceptor(database.db).create(resource);
    const agent = stack.use(await openPublisher(broker.port, consumerName));

    // Whoever holds the row keeps the report from being committed.
    const release = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const holding = database.db.begin(async (sql) => {
      await sql.unsafe("select 1 from resources for update");
      held.resolve();
      await release.promise;
    });
    await held.promise;
    await agent.publish(statusEvent({ id, consumerName }));
    const [statement] = await eventually(() => blocked(database.db), ({ length }) => length === 1);
    await first.kill("SIGKILL");
    // PostgreSQL would finish the statement of a client that is gone, once it gets the row.
    await query(database.db, "select pg_terminate_backend($1::int)", [statement?.pid ?? 0]);
    await eventually(() => blocked(database.db), ({ length }) => length === 0);
    await agent[Symbol.asyncDispose]();
    release.resolve();
    await holding;
    const before = await known({ database }, id);
    await start();
    const after = await eventually(() => known({ database }, id), (row) => row?.status !== null);

    expect(before?.status).toBeNull();
    expect(after?.observed_version).toBe(1);
  },
  TIMEOUT_MS,
);

/** Statements that store reports and wait for somebody else's lock. */
function blocked(db: Db): Promise<{ pid: number }[]> {
  return query(
    db,
    "select pid from pg_stat_activity where datname = current_database() " +
      "and wait_event_type = 'Lock' and query like '-- Stores reports%'",
    [],
  );
}

test(
  "M1: what a server had claimed when it died is sent as soon as the next one connects",
  async () => {
    await using database = await createDatabase({ maxConnections: 8 });
    await using broker = await startMosquitto();
    const { name: consumer } = await createConsumer(database.db, {});
    await using agent = await joinAgent(broker.port, consumer);
    const first = await openHub(broker.port, { database });
    await eventually(() => agent.readiness() === undefined);
    await first[Symbol.asyncDispose]();
    const resource = newResource(consumer);
    await createAcceptor(database.db).create(resource);

    const doom: Doom = [database.url, consumer];
    const doomed = join(import.meta.dir, "../harness/die_in_publish.ts");
    await Bun.spawn([process.execPath, doomed, ...doom], { stdout: "ignore" }).exited;
    const claimed = await known({ database }, resource.id);
    await using _second = await openHub(broker.port, { database });

    // Redelivery would come after a quarter of a minute at the earliest.
    await eventually(() => known({ database }, resource.id), (row) => row?.applied_version === 1);
    expect(claimed?.attempts).toBe(1);
  },
  TIMEOUT_MS,
);

test("a broker that restarts without its sessions costs nothing", async () => {
  await using broker = await startMosquitto();
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(broker.port, consumer);
  const { id } = await hub.create(consumer);
  await eventually(() => known(hub, id), (row) => row?.applied_version === 1);

  await broker.kill("SIGKILL");
  const cut = await eventually(() => hub.flows.readiness());
  const version = await hub.flows.acceptor.update(newUpdate(id, 1, "2"));
  const { id: second } = await hub.create(consumer, { spec: named("b") });
  await broker.start();
  await eventually(() => known(hub, id), (row) => row?.applied_version === 2, PATIENCE);
  await eventually(() => known(hub, second), (row) => row?.applied_version === 1, PATIENCE);

  expect(cut).toContain("the broker 127.0.0.1");
  expect(version).toBe(2);
  expect(hub.flows.readiness()).toBeUndefined();
}, TIMEOUT_MS);

test("M24: a half-open connection is noticed within two keep-alives, on both sides", async () => {
  await using broker = await startMosquitto();
  await using forServer = await startTcpProxy(broker.port);
  await using forAgent = await startTcpProxy(broker.port);
  const config = ["keepAlive: 2"];
  await using hub = await openHub(forServer.port, { config });
  const consumer = await hub.consumer();
  await using agent = await joinAgent(forAgent.port, consumer, { config });
  await eventually(() => agent.readiness() === undefined);

  forServer.freeze();
  forAgent.freeze();

  const noticed = await eventually(
    () => [hub.flows.readiness(), agent.readiness()],
    (reasons) => reasons.every((reason) => reason !== undefined),
    { timeoutMs: 5_000 },
  );
  expect(noticed).toEqual([
    expect.stringContaining("nothing was heard from the broker"),
    expect.stringContaining("nothing was heard from the broker"),
  ]);
}, TIMEOUT_MS);

test("M11: a connection that ends before the database says when it was made is none", async () => {
  await using broker = await startMosquitto();
  await using proxy = await startTcpProxy(broker.port);
  await using database = await createDatabase({ maxConnections: 1 });
  const { name: consumerName } = await createConsumer(database.db, {});
  const release = Promise.withResolvers<void>();
  const busy = database.db.begin(() => release.promise);
  const lines: string[] = [];
  const log = testLogger((line) => void lines.push(line));
  const told = (text: string) => lines.filter((line) => line.includes(text)).length;
  await using hub = await openHub(proxy.port, { database, log });
  await using agent = await openPublisher(broker.port, consumerName);
  // Meant for another server: by then this one has subscribed, and waits for the database.
  const extensions = { originalsource: "another" };
  await eventually(async () => {
    await agent.publish(statusEvent({ id: "a", consumerName, extensions }));
    return told("cannot use a message") > 0;
  });

  proxy.refuse();
  proxy.cut();
  await eventually(() => told("no connection to the broker"));
  release.resolve();
  await busy;
  // Behind what was asked before.
  await query(database.db, "select", []);
  const between = told('"connected to the broker"');
  proxy.heal();
  await eventually(() => hub.flows.readiness() === undefined);

  expect([between, told('"connected to the broker"')]).toEqual([0, 1]);
}, TIMEOUT_MS);

test("a broker that answers no publish is given up long before its keep-alive", async () => {
  await using broker = await startMosquitto();
  await using proxy = await startTcpProxy(broker.port);
  await using hub = await openHub(proxy.port, { config: ["keepAlive: 600"] });
  const consumer = await hub.consumer();
  await eventually(() => hub.flows.readiness() === undefined);

  proxy.freeze();
  const { id } = await hub.create(consumer);
  const reason = await eventually(() => hub.flows.readiness(), Boolean, { timeoutMs: 20_000 });
  // Nothing more is claimed for a road that leads nowhere.
  const second = await hub.create(consumer, { spec: named("b") });
  const waiting = await query(
    hub.database.db,
    "select 1 from events where resource_id = $1",
    [second.id],
  );

  expect(reason).toContain("nothing was heard from the broker");
  expect((await known(hub, id))?.attempts).toBe(1);
  expect(waiting).toHaveLength(1);
}, TIMEOUT_MS);
