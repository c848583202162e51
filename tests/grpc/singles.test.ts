/** Single manifests, the data type of sources and agents from before 2025-03, through the doors. */

import { expect, test } from "bun:test";
import { plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { openAgentBroker } from "../../src/lib/grpc/agent_broker.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { createSpecDoor } from "../../src/lib/spec/door.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES, MANIFESTS } from "../../src/lib/wire/event.ts";
import { legacyStatusHash, statusHash } from "../../src/lib/wire/status_hash.ts";
import { isDeleted, parseStatus } from "../../src/lib/wire/work_status.ts";
import { startWorkAgent, type WorkAgent } from "../../src/lib/work/agent.ts";
import { type Doors, openDoors } from "../harness/doors.ts";
import {
  bundle,
  nextSequence,
  specEvent,
  specResync,
  statusEvent,
  statusResync,
} from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, refusal, subscribe, type Subscription } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";
import { vector } from "../harness/golden.ts";

const DATA = vector("V17").data ?? "";
const STATUS = vector("V18").data ?? "";

/** The event as a peer of that time sends it. */
function single(event: CloudEvent): CloudEvent {
  const { metadata: _, logtracing: __, statushash: ___, ...extensions } = event.extensions;
  return { ...event, type: event.type.replace(MANIFEST_BUNDLES, MANIFESTS), extensions };
}

const singleSpec = (parts: Parameters<typeof specEvent>[0]) =>
  single(specEvent({ source: "legacy", data: DATA, ...parts }));

const singleStatus = (parts: Parameters<typeof statusEvent>[0]) =>
  single(statusEvent({ data: STATUS, ...parts }));

/** REST over the same database. */
function openRest({ db, flows }: Doors) {
  const app = createRestApp({
    db,
    spec: createSpecDoor(db, flows.acceptor, testLogger()),
    log: testLogger(),
    metrics: createMetrics(),
  });
  return async (method: string, path: string, body?: unknown) => {
    const response = await app.request(`/api/maestro/v1/resources${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  };
}

const about = (id: string) => (event: CloudEvent) => event.extensions[EXT.resourceId] === id;
/** What was sent of resources; a question about statuses, which may follow, is about none. */
const sentTo = ({ events }: Subscription) =>
  events.filter(({ extensions }) => extensions[EXT.resourceId] !== undefined);
const idsOf = (stream: Subscription) =>
  sentTo(stream).map(({ extensions }) => extensions[EXT.resourceId]);

test("a single manifest goes to the agent's stream of that type, as it came", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using bundles = await subscribe(doors.agents, { clusterName: consumerName });
  await using singles = await subscribe(doors.agents, {
    clusterName: consumerName,
    dataType: MANIFESTS,
  });

  await publish(doors.sources, singleSpec({ id: "single", consumerName }));
  await publish(doors.sources, specEvent({ id: "bundle", consumerName }));

  const sent = await singles.waitFor(about("single"));
  await bundles.waitFor(about("bundle"));
  expect(sent).toMatchObject({
    source: "maestro",
    type: `${MANIFESTS}.spec.create_request`,
    data: DATA,
  });
  expect(Object.keys(sent.extensions).toSorted())
    .toEqual(["clustername", "originalsource", "readat", "resourceid", "resourceversion"]);
  expect(idsOf(bundles)).toEqual(["bundle"]);
  expect(idsOf(singles)).toEqual(["single"]);
});

test("a stream that is opened later gets what has waited for it", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using bundles = await subscribe(doors.agents, { clusterName: consumerName });
  await publish(doors.sources, singleSpec({ id: "single", consumerName }));
  await publish(doors.sources, specEvent({ id: "bundle", consumerName }));
  await bundles.waitFor(about("bundle"));

  await using singles = await subscribe(doors.agents, {
    clusterName: consumerName,
    dataType: MANIFESTS,
  });

  await singles.waitFor(about("single"));
});

test("an agent asks for each type by itself, and what it holds of the other is not forgotten", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using bundles = await subscribe(doors.agents, { clusterName: consumerName });
  await using singles = await subscribe(doors.agents, {
    clusterName: consumerName,
    dataType: MANIFESTS,
  });
  for (const id of ["s1", "s2"]) await publish(doors.sources, singleSpec({ id, consumerName }));
  for (const id of ["b1", "b2"]) await publish(doors.sources, specEvent({ id, consumerName }));
  await eventually(() => idsOf(bundles).length === 2 && idsOf(singles).length === 2);
  for (const id of ["s1", "s2"]) await publish(doors.agents, singleStatus({ id, consumerName }));
  for (const id of ["b1", "b2"]) await publish(doors.agents, statusEvent({ id, consumerName }));

  // It holds b1 and, says a slip of it, a single manifest under the other type; then it knows nothing.
  await publish(
    doors.agents,
    specResync(consumerName, ["b1", "s1"].map((resourceId) => ({ resourceId, version: 1 }))),
  );
  await publish(doors.agents, single(specResync(consumerName, [])));

  await eventually(() => idsOf(bundles).length === 3 && idsOf(singles).length === 4);
  expect(idsOf(bundles).slice(2)).toEqual(["b2"]);
  expect(idsOf(singles).slice(2).toSorted()).toEqual(["s1", "s2"]);
  const answers = [...sentTo(bundles).slice(2), ...sentTo(singles).slice(2)];
  expect(answers.map(({ type }) => type).toSorted()).toEqual([
    `${MANIFEST_BUNDLES}.spec.resync_response`,
    `${MANIFESTS}.spec.resync_response`,
    `${MANIFESTS}.spec.resync_response`,
  ]);
  expect(answers.some(({ extensions }) => EXT.deletionTimestamp in extensions)).toBeFalse();
});

test("an agent that holds a single manifest that is gone is told so in that type", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await publish(doors.sources, singleSpec({ id: "gone", consumerName }));
  await publish(doors.sources, singleSpec({ id: "gone", consumerName, action: "delete_request" }));
  await publish(
    doors.agents,
    single(statusEvent({ id: "gone", consumerName, isDeleted: true })),
  );
  await using singles = await subscribe(doors.agents, {
    clusterName: consumerName,
    dataType: MANIFESTS,
  });

  await publish(
    doors.agents,
    single(specResync(consumerName, [{ resourceId: "gone", version: 1 }])),
  );

  const told = await singles.waitFor(about("gone"));
  expect(told.type).toBe(`${MANIFESTS}.spec.resync_response`);
  expect(told.extensions[EXT.deletionTimestamp]).toBeDefined();
});

test("the status of a single manifest reaches its source as the agent sent it", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using source = await subscribe(doors.sources, { source: "legacy" });
  await publish(doors.sources, singleSpec({ id: "single", consumerName }));
  const report = singleStatus({ id: "single", consumerName, sequence: nextSequence() });

  await publish(doors.agents, report);

  const told = await source.waitFor(about("single"));
  expect(told.data).toBe(STATUS);
  expect(told.type).toBe(report.type);
  expect(told.extensions).toEqual(report.extensions);
});

test("a source that has the hash of that time is not told again", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  for (const id of ["known", "other"]) {
    await publish(doors.sources, singleSpec({ id, consumerName }));
    await publish(doors.agents, singleStatus({ id, consumerName }));
  }
  await using source = await subscribe(doors.sources, { source: "legacy" });
  const status = parseStatus(STATUS);

  await publish(
    doors.sources,
    single(statusResync("legacy", [
      { resourceId: "known", hash: legacyStatusHash(status) },
      { resourceId: "other", hash: statusHash(status) },
    ])),
  );

  await source.waitFor(about("other"));
  expect(idsOf(source)).toEqual(["other"]);
});

test("REST shows a single manifest as in its time, and a patch leaves it the type that it is", async () => {
  await using doors = await openDoors();
  const rest = openRest(doors);
  const consumerName = await doors.consumer();
  await publish(doors.sources, singleSpec({ id: "single", consumerName }));
  await publish(doors.agents, singleStatus({ id: "single", consumerName }));
  await using singles = await subscribe(doors.agents, {
    clusterName: consumerName,
    dataType: MANIFESTS,
  });

  const { body: list } = await rest("GET", "");
  const { body: shown } = await rest("GET", "/single");
  const manifest = { ...shown.manifest, spec: { ...shown.manifest.spec, replicas: 2 } };
  const update = { version: 1, manifest, update_strategy: { type: "Update" } };
  const patched = await rest("PATCH", "/single", update);

  expect(list).toMatchObject({ total: 1, items: [{ id: "single" }] });
  expect(shown.manifest).toEqual(JSON.parse(DATA).manifest);
  expect(shown.status.ContentStatus).toMatchObject({ readyReplicas: 1 });
  expect(shown.status.ReconcileStatus.Conditions).toHaveLength(3);
  expect(patched).toMatchObject({ status: 200, body: { version: 2 } });
  const sent = await singles.waitFor((event) => event.extensions["resourceversion"] === 2);
  expect(JSON.parse(sent.data ?? "")).toEqual({
    ...JSON.parse(DATA),
    manifest,
    configOption: { ...JSON.parse(DATA).configOption, updateStrategy: { type: "Update" } },
  });
});

test("a resource that REST has created travels as a bundle", async () => {
  await using doors = await openDoors();
  const rest = openRest(doors);
  const consumerName = await doors.consumer();
  await using bundles = await subscribe(doors.agents, { clusterName: consumerName });
  const { manifest } = JSON.parse(DATA);

  const { body } = await rest("POST", "", { consumer_name: consumerName, manifest });

  const sent = await bundles.waitFor(about(body.id));
  expect(sent.type).toBe(`${MANIFEST_BUNDLES}.spec.create_request`);
});

test("a source that learns bundles turns its single manifest into one", async () => {
  await using doors = await openDoors();
  const rest = openRest(doors);
  const consumerName = await doors.consumer();
  await using bundles = await subscribe(doors.agents, { clusterName: consumerName });
  await publish(doors.sources, singleSpec({ id: "single", consumerName }));

  await publish(
    doors.sources,
    specEvent({
      ...{ id: "single", source: "legacy", consumerName, version: 1, data: bundle() },
      action: "update_request",
    }),
  );

  const sent = await bundles.waitFor(about("single"));
  expect(sent).toMatchObject({ type: `${MANIFEST_BUNDLES}.spec.update_request`, data: bundle() });
  expect((await rest("GET", "/single")).status).toBe(404);
});

test("what is wrong with a single manifest is said in the words of that time", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const refuse = async (data: string) =>
    (await refusal(doors.sources, singleSpec({ id: "bad", consumerName, data }))).details;

  expect(await refuse("{}")).toBe(
    "failed to create resource: maestro-8: the manifest in the resource is invalid, " +
      "manifest is empty",
  );
  expect(await refuse('{"manifest":{"kind":"A","metadata":{}}}')).toBe(
    "failed to create resource: maestro-8: the manifest in the resource is invalid, [apiVersion: " +
      "Required value: field not set, metadata.name: Required value: field not set]",
  );
  expect(await refuse('{"manifest":[]}')).toContain("manifest must be an object");
});

test("our agent takes a single manifest from our server, and tells and removes it", async () => {
  await using doors = await openDoors();
  const rest = openRest(doors);
  const consumerName = await doors.consumer();
  await using agent = await startAgent(doors.agents, consumerName);
  await using source = await subscribe(doors.sources, { source: "legacy" });

  await publish(doors.sources, singleSpec({ id: "single", consumerName }));
  await publish(doors.sources, specEvent({ id: "bundle", consumerName }));

  const told = await source.waitFor(({ data }) => data?.includes("readyReplicas") ?? false);
  // By itself, or since it was asked.
  expect(told.type).toStartWith(`${MANIFESTS}.status.`);
  expect(JSON.parse(told.data ?? "")).toMatchObject({
    status: { resourceMeta: { kind: "Deployment", resource: "deployments", name: "nginx" } },
  });
  const { body } = await rest("GET", "/single");
  expect(body.status.ContentStatus).toMatchObject({ readyReplicas: 1 });
  expect(agent.readiness()).toBeUndefined();
  await publish(
    doors.sources,
    singleSpec({ id: "single", consumerName, action: "delete_request" }),
  );
  await source.waitFor(({ data }) => isDeleted(parseStatus(data ?? "{}")));
  expect((await rest("GET", "/single")).status).toBe(404);
});

/** Our agent with both data types, on a cluster that is made up: what it does there is not what is looked at. */
async function startAgent(url: string, consumerName: string): Promise<WorkAgent> {
  const log = testLogger();
  const dataTypes = [MANIFEST_BUNDLES, MANIFESTS];
  const config = plainBrokerConfig(url);
  const options = { consumerName, dataTypes, tlsRefreshMs: 60_000, log };
  return await startWorkAgent(
    createSimulatedKube(),
    (events) => openAgentBroker(config, events, options),
    log,
    {
      ...{ consumerName, dataTypes, agentId: `${consumerName}-agent`, agentVersion: "test" },
      ...{ statusSyncIntervalMs: 1_000, workers: 1, jsonRawBytesMax: 1_000_000, nowMs: Date.now },
    },
  );
}
