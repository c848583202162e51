/** What subscribers see: headers, heartbeats, events, and how their streams end. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { openDoors } from "../harness/doors.ts";
import { bundle, specEvent, specResync, statusEvent, statusResync } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { openPublisher, publish, refusal, refused, subscribe } from "../harness/grpc.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";

const UNKNOWN = 2;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("a subscription begins with its id, before any event, though something waits", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  for (let index = 0; index < 20; index++) {
    await publish(doors.sources, specEvent({ id: `r-${index}`, consumerName }));
  }

  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await using source = await subscribe(doors.sources, { source: "tests" });

  await eventually(() => agent.events.length === 20);
  expect(agent.subscriptionId).toMatch(UUID);
  expect(source.subscriptionId).toMatch(UUID);
  expect(agent.subscriptionId).not.toBe(source.subscriptionId);
  expect(agent.eventsBeforeHeaders).toBe(0);
});

test("every stream has heartbeats", async () => {
  await using doors = await openDoors({ args: ["--heartbeat-check-interval", "100ms"] });
  const consumerName = await doors.consumer();

  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await using source = await subscribe(doors.sources, { source: "tests" });

  await eventually(() => agent.heartbeats > 2 && source.heartbeats > 2);
  expect([agent.events, source.events]).toEqual([[], []]);
});

test("a spec goes to its agent and the status comes back to its source", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await using source = await subscribe(doors.sources, { source: "tests" });
  await using stranger = await subscribe(doors.sources, { source: "strangers" });
  const id = crypto.randomUUID();

  await publish(doors.sources, specEvent({ id, consumerName }));
  const spec = await agent.waitFor(({ extensions }) => extensions["resourceid"] === id);
  await publish(doors.agents, statusEvent({ id, consumerName, message: "done" }));
  const status = await source.waitFor(({ extensions }) => extensions["resourceid"] === id);

  expect(spec.data).toBe(bundle());
  expect(spec.source).toBe("maestro");
  expect(status.data).toStartWith(`{"manifestBundle":${bundle()},`);
  expect(status.extensions["resourceversion"]).toBe(1);
  expect(stranger.events).toEqual([]);
});

test("a source gets versions as integers, also of an agent that sends them as text", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using source = await subscribe(doors.sources, { source: "tests" });
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));

  const extensions = { resourceversion: "1" };
  await publish(doors.agents, statusEvent({ id, consumerName, extensions }));

  const { extensions: told } = await source.waitFor((event) => event.extensions.resourceid === id);
  expect(told.resourceversion).toBe(1);
});

test("M26: integers above 2^53 arrive unchanged, spec and status", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await using source = await subscribe(doors.sources, { source: "tests" });
  const id = crypto.randomUUID();
  const spec = '{"manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},' +
    '"spec":{"big":9007199254740993,"small":-9007199254740993,"one":1.0,"exp":1e400}}]}';
  const report = '{"conditions":[],"resourceStatus":[{"statusFeedback":{"values":[{"name":"n",' +
    '"fieldValue":{"type":"Integer","integer":9007199254740993}}]},"conditions":null}]}';

  await publish(doors.sources, specEvent({ id, consumerName, data: spec }));
  const sent = await agent.waitFor(({ extensions }) => extensions["resourceid"] === id);
  await publish(doors.agents, statusEvent({ id, consumerName, data: report }));
  const told = await source.waitFor(({ extensions }) => extensions["resourceid"] === id);

  expect(sent.data).toBe(spec);
  expect(told.data).toBe(`{"manifestBundle":${spec},${report.slice(1)}`);
});

test("an agent gets nothing of other consumers, nor of data types it did not ask for", async () => {
  await using doors = await openDoors();
  const [own, other] = [await doors.consumer(), await doors.consumer()];
  await using agent = await subscribe(doors.agents, { clusterName: own });
  await using addons = await subscribe(doors.agents, {
    clusterName: own,
    dataType: "addon.open-cluster-management.io.v1alpha1.managedclusteraddons",
  });
  await publish(doors.sources, specEvent({ id: "other", consumerName: other }));

  await publish(doors.sources, specEvent({ id: "own", consumerName: own }));
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === "own");

  expect(agent.events).toHaveLength(1);
  expect(addons.events).toEqual([]);
});

test("a subscription that lacks what it must name is refused", async () => {
  await using doors = await openDoors();

  const nameless = await refused(subscribe(doors.agents, {}));
  const typeless = await refused(
    subscribe(doors.agents, { clusterName: "cluster1", dataType: "works" }),
  );

  expect(nameless).toEqual({
    code: UNKNOWN,
    details: "invalid subscription request: missing cluster name",
  });
  expect(typeless.code).toBe(UNKNOWN);
  expect(typeless.details).toStartWith("invalid subscription request: invalid data type");
});

test("an agent that asks gets what it lacks, once", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });

  await publish(doors.agents, specResync(consumerName, []));
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === id);
  // A second create ends the wait for what must not come.
  await publish(doors.sources, specEvent({ id: "last", consumerName }));
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === "last");

  // A question about statuses follows as well, and is about no single resource.
  const ids = agent.events.flatMap(({ extensions }) => extensions["resourceid"] ?? []);
  expect(ids).toEqual([id, "last"]);
});

test("a source that asks gets the statuses that differ", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  for (const id of ["same", "differs"]) {
    await publish(doors.sources, specEvent({ id, consumerName }));
    await publish(
      doors.agents,
      statusEvent({ id, consumerName, extensions: { statushash: `hash of ${id}` } }),
    );
  }
  await using source = await subscribe(doors.sources, { source: "tests" });

  await publish(
    doors.sources,
    statusResync("tests", [
      { resourceId: "same", hash: "hash of same" },
      { resourceId: "differs", hash: "old" },
    ]),
  );
  await source.waitFor(({ extensions }) => extensions["resourceid"] === "differs");

  expect(source.events).toHaveLength(1);
});

test("sources need a token unless the operator says otherwise", async () => {
  const token = "an-admin-token-of-some-forty-characters-here";
  await using doors = await openDoors({ adminToken: token });
  const event = specEvent({ id: "a", consumerName: await doors.consumer() });
  const authorization = `Bearer ${token}`;

  const answers = [
    await refusal(doors.sources, event),
    await refusal(doors.sources, event, { authorization: "Bearer wrong" }),
    await refused(subscribe(doors.sources, { source: "tests" })),
  ];
  await publish(doors.sources, event, { authorization });
  await using source = await subscribe(doors.sources, { source: "tests" }, { authorization });

  expect(answers.map(({ code }) => code)).toEqual([
    UNAUTHENTICATED,
    UNAUTHENTICATED,
    UNAUTHENTICATED,
  ]);
  expect(source.subscriptionId).toMatch(UUID);
  expect(await query(doors.db, "select id from resources", [])).toEqual([{ id: "a" }]);
});

test("a subscriber that leaves is forgotten, and its consumer is not sent to", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const agent = await subscribe(doors.agents, { clusterName: consumerName });
  const source = await subscribe(doors.sources, { source: "tests" });

  agent.close();
  source.close();

  await eventually(() => !doors.flows.agents?.isConnected(consumerName));
  await eventually(() => doors.flows.sources.sources().length === 0);
});

test("shutdown ends every stream as unavailable", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await using source = await subscribe(doors.sources, { source: "tests" });
  const began = performance.now();

  await doors.close();

  const ends = [await agent.ended, await source.ended];
  expect(ends.map(({ code }) => code)).toEqual([UNAVAILABLE, UNAVAILABLE]);
  expect(performance.now() - began).toBeLessThan(3_000);
});

test("M23: a subscriber that reads nothing is ended, and the others are served on", async () => {
  await using doors = await openDoors();
  await using slow = await subscribe(doors.sources, { source: "tests" });
  await using fast = await subscribe(doors.sources, { source: "tests" });
  slow.pause();
  // Each a resource of its own, so that nothing replaces what waits.
  const count = 12_000;
  const event = (index: number) => ({
    id: `${index}`,
    source: "agent",
    type: "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request",
    extensions: { resourceid: `${index}` },
    data: JSON.stringify({ text: "x".repeat(1_000) }),
  });

  for (let index = 0; index < count; index++) {
    doors.flows.sources.broadcast("tests", event(index));
    if (index % 500 === 0) await eventually(() => fast.events.length > index - 2_000);
  }

  await eventually(() => fast.events.length === count);
  slow.resume();
  const { code, details } = await slow.ended;
  expect(code).toBe(RESOURCE_EXHAUSTED);
  expect(details).toContain("events wait for this subscriber");
  expect(doors.flows.sources.sources()).toEqual(["tests"]);
});

test("what waits for a slow subscriber is one event for each resource, the last", async () => {
  await using doors = await openDoors();
  await using slow = await subscribe(doors.sources, { source: "tests" });
  slow.pause();
  const data = JSON.stringify({ text: "x".repeat(10_000) });

  for (let index = 0; index < 20_000; index++) {
    doors.flows.sources.broadcast("tests", {
      id: `${index}`,
      source: "agent",
      type: "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request",
      extensions: { resourceid: `${index % 10}` },
      data,
    });
    if (index % 500 === 0) await Bun.sleep(0);
  }
  slow.resume();

  await slow.waitFor(({ id }) => id === "19999", { timeoutMs: 20_000 });
  expect(slow.events.length).toBeLessThan(2_000);
  for (let last = 19_990; last < 20_000; last++) {
    expect(slow.events.filter(({ id }) => id === `${last}`)).toHaveLength(1);
  }
});

test("M24: a connection that has died without a sound is noticed within two heartbeats", async () => {
  await using doors = await openDoors({
    args: [
      ...["--heartbeat-check-interval", "300ms", "--grpc-server-ping-interval", "300ms"],
      ...["--grpc-server-ping-timeout", "300ms"],
    ],
  });
  const consumerName = await doors.consumer();
  await using proxy = await startTcpProxy(Number(doors.agents.split(":")[1]));
  await using agent = await subscribe(`127.0.0.1:${proxy.port}`, { clusterName: consumerName });
  await eventually(() => agent.heartbeats > 2);
  const stillThere = doors.flows.agents?.isConnected(consumerName);

  proxy.freeze();

  await eventually(() => !doors.flows.agents?.isConnected(consumerName), Boolean, {
    timeoutMs: 1_500,
  });
  expect(stillThere).toBeTrue();
});

test("a connection that has died does not hold back the next one of the same agent", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using proxy = await startTcpProxy(Number(doors.agents.split(":")[1]));
  await using _dead = await subscribe(`127.0.0.1:${proxy.port}`, { clusterName: consumerName });
  proxy.freeze();
  const data = bundle("x".repeat(100_000));
  // More than its windows and buffers take.
  for (let index = 0; index < 100; index++) {
    await publish(doors.sources, specEvent({ id: `early-${index}`, consumerName, data }));
  }

  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  await publish(doors.sources, specEvent({ id: "late", consumerName }));

  await agent.waitFor(({ extensions }) => extensions["resourceid"] === "late");
  await eventually(() => agent.events.length >= 101);
});

test("many publishes on one connection are all answered", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  using publisher = openPublisher(doors.sources);
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });

  const ids = Array.from({ length: 500 }, () => crypto.randomUUID());
  await Promise.all(ids.map((id) => publisher.publish(specEvent({ id, consumerName }))));

  await eventually(() => agent.events.length >= 500);
  const seen = agent.events.map(({ extensions }) => String(extensions["resourceid"]));
  expect(seen.toSorted()).toEqual(ids.toSorted());
});
