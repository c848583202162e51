/** What server and agent put on the broker, recorded by mosquitto_sub and held against what the Go programs put there. */

import { expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { statusHash } from "../../src/lib/wire/status_hash.ts";
import { canonicalTime } from "../../src/lib/wire/time.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle, specEvent } from "../harness/events.ts";
import { capturedFiles } from "../harness/golden.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { type CapturedMessage, startCapture } from "../harness/mqtt_capture.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate } from "../spec/specs.ts";
import { type Hub, joinAgent, known, openHub } from "./hub.ts";

/** What ours say in addition, which peers ignore. */
const OURS = ["ce-agentversion", "ce-readat", "ce-statusdigest", "ce-versiondigest"];

/** The first five come in this order; the others in any. */
const FIRST = ["ce-id", "ce-source", "ce-specversion", "ce-type", "ce-time"];

const actionOf = ({ userProperties }: Pick<CapturedMessage, "userProperties">) =>
  (userProperties["ce-type"] ?? "").slice(MANIFEST_BUNDLES.length + 1);

/** What was seen of the Go programs for each action: the sets of names that occur together. */
function peersNames(): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const { user_properties } of capturedFiles().flatMap(({ records }) => records)) {
    if (user_properties === undefined) continue;
    const action = actionOf({ userProperties: Object.fromEntries(user_properties) });
    const set = user_properties.map(([name]) => name).toSorted().join(" ");
    names.set(action, (names.get(action) ?? new Set()).add(set));
  }
  // No capture has an agent's answer to a question about statuses; vector V14 has the names of any status.
  return names.set("status.resync_response", names.get("status.update_request") ?? new Set());
}

/** An everyday life: create, update, a restarted agent, a restarted server, delete. */
async function record(): Promise<{ messages: CapturedMessage[]; id: string; consumer: string }> {
  await using broker = await startMosquitto();
  await using capture = await startCapture(broker, "#");
  const lines: string[] = [];
  await using first = await openHub(broker.port, {
    log: testLogger((line) => void lines.push(line)),
  });
  const consumer = await first.consumer();
  const kube = createSimulatedKube();
  const agent = await joinAgent(broker.port, consumer, { kube });
  // What is created before would be part of the answer.
  await eventually(() => lines.some((line) => line.includes("answered a spec resync")));
  const metadata = JSON.stringify({ name: "web", namespace: consumer, labels: { app: "web" } });
  const id = crypto.randomUUID();
  const event = specEvent({ id, consumerName: consumer, extensions: { logtracing: "{}" } });
  await first.create(consumer, { id, name: id, event, metadata });
  const applied = (hub: Hub, version: number) =>
    eventually(() => known(hub, id), (row) => row?.applied_version === version);
  await applied(first, 1);
  const update = newUpdate(id, 1, "2");
  update.event.extensions["logtracing"] = "{}";
  await first.flows.acceptor.update({ ...update, metadata });
  await applied(first, 2);

  await agent[Symbol.asyncDispose]();
  await using _again = await joinAgent(broker.port, consumer, { kube });
  const has = (action: string) =>
    eventually(() => capture.messages(), (all) => all.some((one) => actionOf(one) === action));
  await has("spec.resync_response");
  await using second = await openHub(broker.port, { database: first.database });
  await has("status.resync_request");
  await second.flows.acceptor.delete({ id });
  await eventually(() => known(second, id), (row) => row === undefined);
  await eventually(
    () => capture.messages(),
    (all) => all.some(({ payload }) => payload.includes('"type":"Deleted"')),
  );
  return { messages: capture.messages(), id, consumer };
}

test("every message has the topic and the properties that the Go programs' have", async () => {
  const { messages, id, consumer } = await record();
  const peers = peersNames();

  const actions = new Set(messages.map(actionOf));
  for (const message of messages) {
    const { topic, qos, retain, properties, userProperties, payload } = message;
    const action = actionOf(message);
    const isOfAgent = userProperties["ce-source"] === `${consumer}-work-agent`;
    const names = Object.keys(userProperties);
    const set = names.filter((name) => !OURS.includes(name)).toSorted().join(" ");
    expect({ action, set }).toEqual({
      action,
      set: peers.get(action)?.has(set) ? set : [...peers.get(action) ?? ["no such action"]].join(),
    });
    expect(names.slice(0, FIRST.length)).toEqual(FIRST);
    expect({ action, topic, qos, retain, properties }).toEqual({
      action,
      topic: `sources/maestro/consumers/${consumer}/${isOfAgent ? "agentevents" : "sourceevents"}`,
      qos: 1,
      retain: false,
      properties: payload === "" ? {} : { "content-type": "application/json" },
    });
    expect(userProperties["ce-time"]).toBe(canonicalTime(userProperties["ce-time"] ?? ""));
    expect(userProperties["ce-clustername"]).toBe(consumer);
    expect(userProperties["ce-resourceid"] ?? id).toBe(id);
  }
  actions.delete("status.resync_response");
  expect([...actions].toSorted()).toEqual([
    "spec.create_request",
    "spec.delete_request",
    "spec.resync_request",
    "spec.resync_response",
    "spec.update_request",
    "status.resync_request",
    "status.update_request",
  ]);
});

test("their values are those of the specification", async () => {
  const { messages, id, consumer } = await record();
  const first = (action: string) => {
    const found = messages.find((message) => actionOf(message) === action);
    if (found === undefined) throw new Error(`No ${action} was recorded`);
    return found.userProperties;
  };

  const [create, update] = [first("spec.create_request"), first("spec.update_request")];
  const [remove, report] = [first("spec.delete_request"), first("status.update_request")];
  expect([create, update, remove].map((spec) => spec["ce-resourceversion"])).toEqual([
    "1",
    "2",
    "2",
  ]);
  expect(JSON.parse(create["ce-metadata"] ?? "")).toEqual({
    name: id,
    namespace: consumer,
    labels: { app: "web" },
    creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  });
  expect(JSON.parse(remove["ce-metadata"] ?? "")).toHaveProperty("deletionTimestamp");
  expect(remove["ce-deletiontimestamp"]).toBe(canonicalTime(remove["ce-deletiontimestamp"] ?? ""));
  expect(create["ce-originalsource"]).toBe("");
  expect(report["ce-originalsource"]).toBe("maestro");
  for (const message of messages.filter((message) => actionOf(message).startsWith("status.up"))) {
    const { userProperties, payload } = message;
    expect(userProperties["ce-statushash"]).toBe(statusHash(JSON.parse(payload)));
    expect(userProperties["ce-sequenceid"]).toMatch(/^\d{19}$/);
  }
  const bodies = messages.filter((message) => actionOf(message).endsWith(".resync_request"))
    .map(({ payload }) => Object.keys(JSON.parse(payload)));
  expect(new Set(bodies.flat())).toEqual(new Set(["resourceVersions", "statusHashes"]));
  const last = messages.findLast((message) => actionOf(message) === "status.update_request");
  expect(JSON.parse(last?.payload ?? "{}").conditions.at(-1)).toMatchObject({
    type: "Deleted",
    status: "True",
    reason: "ManifestsDeleted",
    message: `The manifests are deleted from the cluster ${consumer}`,
  });
  expect(messages.find((message) => actionOf(message) === "spec.update_request")?.payload).toBe(
    bundle("2"),
  );
});
