/** Specs and statuses over a real broker: the everyday, and what does not fit. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle } from "../harness/events.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { newUpdate } from "../spec/specs.ts";
import { joinAgent, known, openHub, progress } from "./hub.ts";

let broker: Mosquitto;

const named = (name: string) => bundle().replace('"name":"a"', `"name":"${name}"`);

beforeAll(async () => {
  broker = await startMosquitto();
});

afterAll(() => broker[Symbol.asyncDispose]());

test("a spec goes to its agent over MQTT, and its status comes back", async () => {
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(broker.port, consumer);
  await eventually(() => _agent.readiness() === undefined);

  const { id } = await hub.create(consumer);
  await eventually(() => known(hub, id), (row) => row?.applied_version === 1);
  const version = await hub.flows.acceptor.update(newUpdate(id, 1, "2"));
  await eventually(() => known(hub, id), (row) => row?.applied_version === 2);
  await hub.flows.acceptor.delete({ id });
  await eventually(() => known(hub, id), (row) => row === undefined);

  expect(version).toBe(2);
});

test("M26: integers above 2^53 cross MQTT unchanged, both ways", async () => {
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  const kube = createSimulatedKube();
  await using _agent = await joinAgent(broker.port, consumer, { kube });
  const spec = '{"manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big",' +
    '"namespace":"default"},"data":{"n":"1"},"big":9007199254740993,"exact":1.0}],' +
    '"manifestConfigs":[{"resourceIdentifier":{"group":"","resource":"configmaps","name":"big",' +
    '"namespace":"default"},"feedbackRules":[{"type":"JSONPaths","jsonPaths":[' +
    '{"name":"big","path":".big"}]}]}]}';

  const { id } = await hub.create(consumer, { spec });
  const row = await eventually(
    () => known(hub, id),
    (row) => row?.status?.includes("values") === true,
  );

  expect(row?.status).toContain('"integer":9007199254740993');
});

test("A89: what was created and deleted while an agent was away happens when it is back", async () => {
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  const kube = createSimulatedKube();
  const first = await joinAgent(broker.port, consumer, { kube });
  const kept = await hub.create(consumer);
  const unwanted = await hub.create(consumer, {
    spec: named("b"),
  });
  await eventually(() => progress(hub.database), ({ applied }) => applied === 2);
  await first[Symbol.asyncDispose]();

  await hub.flows.acceptor.delete({ id: unwanted.id });
  const created = await hub.create(consumer, {
    spec: named("c"),
  });
  const waiting = await known(hub, unwanted.id);
  await using _second = await joinAgent(broker.port, consumer, { kube });
  await eventually(() => known(hub, unwanted.id), (row) => row === undefined);
  await eventually(() => known(hub, created.id), (row) => row?.applied_version === 1);

  expect(waiting?.deleted_at).not.toBeNull();
  expect((await known(hub, kept.id))?.applied_version).toBe(1);
});

test("an agent that nobody heard asks again, and a server that comes sends what it lacks", async () => {
  await using database = await createDatabase({ maxConnections: 8 });
  const first = await openHub(broker.port, { database });
  const consumer = await first.consumer();
  const kube = createSimulatedKube();
  const before = await joinAgent(broker.port, consumer, { kube });
  const { id } = await first.create(consumer);
  await eventually(() => known(first, id), (row) => row?.applied_version === 1);
  await before[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();

  // The broker keeps a server's session for a while; this one has never been here.
  const lines: string[] = [];
  const log = testLogger((line) => void lines.push(line));
  await using lonely = await startMosquitto();
  await using agent = await joinAgent(lonely.port, consumer, { log });
  await eventually(() => lines.some((line) => line.includes("no server listens")));
  const waiting = agent.readiness();
  await using _second = await openHub(lonely.port, { database });
  await eventually(() => lines.some((line) => line.includes('"received"') && line.includes(id)));

  expect(waiting).toBeDefined();
  await eventually(() => agent.readiness() === undefined);
});

test.each([
  ["each hear all reports", {}],
  ["share them in a group", { group: "statussubscribers" }],
])("two servers %s, and each may send", async (_, options) => {
  await using database = await createDatabase({ maxConnections: 8 });
  await using first = await openHub(broker.port, { database, ...options });
  await using second = await openHub(broker.port, { database, ...options });
  const consumer = await first.consumer();
  await using _agent = await joinAgent(broker.port, consumer);

  for (let count = 0; count < 20; count++) {
    await (count % 2 === 0 ? first : second).create(consumer, {
      spec: named(`a${count}`),
    });
  }

  await eventually(() => progress(first.database), ({ applied }) => applied === 20);
});

test("an event that the broker does not take is refused with a status that says so", async () => {
  await using small = await startMosquitto({ config: ["max_packet_size 20000"] });
  await using hub = await openHub(small.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(small.port, consumer);

  const { id } = await hub.create(consumer, { spec: bundle("x".repeat(30_000)) });
  const refused = await eventually(() => known(hub, id), (row) => row?.status !== null);
  await hub.flows.acceptor.update(newUpdate(id, 1, "short"));
  const applied = await eventually(() => known(hub, id), (row) => row?.applied_version === 2);

  const { conditions } = JSON.parse(refused?.status ?? "{}");
  expect(conditions).toEqual([
    expect.objectContaining({
      type: "Applied",
      status: "False",
      observedGeneration: 1,
      reason: "EventNotSent",
      message: expect.stringMatching(/the packet has \d+ bytes, .* at most 20000$/),
    }),
  ]);
  expect(refused?.observed_version).toBe(0);
  expect(JSON.parse(refused?.status_event ?? "{}")).toMatchObject({
    resourceid: id,
    sequenceid: "4096",
  });
  expect(applied?.status).toContain('"Available"');
});

test.each([
  ["a spec", { value: "x".repeat(30_000), note: "" }],
  ["an attribute", { value: "2", note: "x".repeat(70_000) }],
])("what has %s that the broker does not take is deleted all the same", async (_, large) => {
  await using small = await startMosquitto({ config: ["max_packet_size 20000"] });
  await using hub = await openHub(small.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(small.port, consumer);
  const { id } = await hub.create(consumer);
  await eventually(() => known(hub, id), (row) => row?.applied_version === 1);
  const update = newUpdate(id, 1, large.value);
  update.event.extensions["note"] = large.note;
  await hub.flows.acceptor.update(update);
  await eventually(() => known(hub, id), (row) => row?.status?.includes("EventNotSent") === true);

  await hub.flows.acceptor.delete({ id });

  await eventually(() => known(hub, id), (row) => row === undefined);
});

test("a report that the broker does not take is replaced by one without feedback that says so", async () => {
  await using small = await startMosquitto({ config: ["max_packet_size 20000"] });
  await using hub = await openHub(small.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(small.port, consumer);
  const large = JSON.stringify({ value: "x".repeat(15_000) });
  const spec = `{"manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large",` +
    `"namespace":"default"},"data":${large}}],"manifestConfigs":[{"resourceIdentifier":{"group":"",` +
    `"resource":"configmaps","name":"large","namespace":"default"},"feedbackRules":[{"type":` +
    `"JSONPaths","jsonPaths":[{"name":"one","path":".data.value"},{"name":"two","path":".data.value"}` +
    `]}]}]}`;

  const { id } = await hub.create(consumer, { spec });
  const row = await eventually(() => known(hub, id), (row) => row?.applied_version === 1);

  const [manifest] = JSON.parse(row?.status ?? "{}").resourceStatus;
  expect(manifest.statusFeedback).toEqual({});
  expect(manifest.conditions).toContainEqual(expect.objectContaining({
    type: "StatusFeedbackSynced",
    status: "False",
    reason: "ReportTooLarge",
    message: expect.stringContaining("at most 20000"),
  }));
  expect(row?.status).toContain('"Available"');
});

test("M31: a report that the broker dropped is found by its agent and comes again", async () => {
  await using hub = await openHub(broker.port, { args: ["--status-check-interval=500ms"] });
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(broker.port, consumer);
  const ids: string[] = [];
  for (const name of ["a", "b", "c"]) {
    const { id } = await hub.create(consumer, { spec: named(name) });
    ids.push(id);
  }
  await eventually(() => progress(hub.database), ({ applied }) => applied === 3);

  // As the database would be if these reports had never come.
  await query(
    hub.database.db,
    "update resources set status = null, status_hash = null, applied_version = 0 " +
      "where id = any($1::text[])",
    [ids.slice(1)],
  );

  await eventually(() => progress(hub.database), ({ applied }) => applied === 3, {
    timeoutMs: 30_000,
  });
}, 40_000);
