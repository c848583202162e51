/** Which topics a side listens to, and which one an event travels on. */

import { describe, expect, test } from "bun:test";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { agentTopics, parseTopics, sourceTopics } from "../../src/lib/wire/topics.ts";

const PLAIN = {
  sourceEvents: "sources/maestro/consumers/+/sourceevents",
  agentEvents: "sources/maestro/consumers/+/agentevents",
};
const OLD = {
  spec: "sources/+/clusters/+/spec",
  status: "sources/+/clusters/+/status",
  specResync: "sources/clusters/+/specresync",
  statusResync: "sources/+/clusters/statusresync",
};

function event(kind: string, extensions: CloudEvent["extensions"]): CloudEvent {
  return { id: "1", source: "x", type: `${MANIFEST_BUNDLES}.${kind}`, extensions };
}

describe("V22: events travel on the topics of the peers", () => {
  const patterns = parseTopics({
    sourceEvents: "sources/hub1/clusters/+/sourceevents",
    agentEvents: "sources/hub1/clusters/+/agentevents",
    agentBroadcast: "clusters/+/agentbroadcast",
  });
  const agent = agentTopics(patterns, "cluster1");
  const source = sourceTopics(patterns, "hub1");

  test.each([
    [
      "an agent's question to all sources",
      () => agent.topicOf(event("spec.resync_request", { originalsource: "" })),
      "clusters/cluster1/agentbroadcast",
    ],
    [
      "an agent's status",
      () => agent.topicOf(event("status.update_request", { originalsource: "hub1" })),
      "sources/hub1/clusters/cluster1/agentevents",
    ],
    [
      "a source's spec",
      () => source.topicOf(event("spec.create_request", { clustername: "cluster1" })),
      "sources/hub1/clusters/cluster1/sourceevents",
    ],
    [
      "a source's question to one agent",
      () => source.topicOf(event("status.resync_request", { clustername: "cluster1" })),
      "sources/hub1/clusters/cluster1/sourceevents",
    ],
  ])("%s", (_, topicOf, topic) => {
    expect(topicOf()).toBe(topic);
  });

  test("without the source or the cluster there is no topic", () => {
    expect(() => agent.topicOf(event("status.update_request", {}))).toThrow("originalsource");
    expect(() => source.topicOf(event("spec.create_request", {}))).toThrow("clustername");
  });
});

test("a server listens to its share of all agents and publishes to each", () => {
  const share = "$share/statussubscribers/";
  const topics = sourceTopics(
    parseTopics({ ...PLAIN, agentEvents: share + PLAIN.agentEvents }),
    "maestro",
  );

  expect(topics.subscriptions).toEqual([
    "$share/statussubscribers/sources/maestro/consumers/+/agentevents",
  ]);
  expect(topics.topicOf(event("spec.update_request", { clustername: "c1" }))).toBe(
    "sources/maestro/consumers/c1/sourceevents",
  );
});

test("an agent listens to its own consumer's topic, and asks on it without a broadcast", () => {
  const topics = agentTopics(parseTopics(PLAIN), "c1");

  expect(topics.subscriptions).toEqual(["sources/maestro/consumers/c1/sourceevents"]);
  expect(topics.topicOf(event("spec.resync_request", { originalsource: "" }))).toBe(
    "sources/maestro/consumers/c1/agentevents",
  );
});

test("an agent whose topics are shared by servers publishes to the topic, never to the group", () => {
  const topics = agentTopics(
    parseTopics({ ...PLAIN, agentEvents: `$share/g/${PLAIN.agentEvents}` }),
    "c1",
  );

  expect(topics.topicOf(event("status.update_request", { originalsource: "maestro" }))).toBe(
    "sources/maestro/consumers/c1/agentevents",
  );
});

test("broadcasts are listened to, and a question to all needs one", () => {
  const patterns = parseTopics({
    ...PLAIN,
    sourceBroadcast: "sources/+/sourcebroadcast",
    agentBroadcast: "consumers/+/agentbroadcast",
  });
  const toAll = event("status.resync_request", { clustername: "" });

  expect(sourceTopics(patterns, "maestro").subscriptions.at(-1)).toBe(
    "consumers/+/agentbroadcast",
  );
  expect(agentTopics(patterns, "c1").subscriptions.at(-1)).toBe("sources/+/sourcebroadcast");
  expect(sourceTopics(patterns, "maestro").topicOf(toAll)).toBe("sources/maestro/sourcebroadcast");
  expect(() => sourceTopics(parseTopics(PLAIN), "maestro").topicOf(toAll)).toThrow(
    "topics.sourceBroadcast",
  );
});

test("the topics of before 2024-02 are understood on both sides", () => {
  const patterns = parseTopics(OLD);
  const source = sourceTopics(patterns, "maestro");
  const agent = agentTopics(patterns, "c1");

  expect(source.subscriptions).toEqual([
    "sources/maestro/clusters/+/status",
    "sources/clusters/+/specresync",
  ]);
  expect(source.topicOf(event("spec.create_request", { clustername: "c1" }))).toBe(
    "sources/maestro/clusters/c1/spec",
  );
  expect(agent.subscriptions).toEqual([
    "sources/+/clusters/c1/spec",
    "sources/+/clusters/statusresync",
  ]);
  expect(agent.topicOf(event("status.update_request", { originalsource: "maestro" }))).toBe(
    "sources/maestro/clusters/c1/status",
  );
  expect(agent.topicOf(event("spec.resync_request", { originalsource: "" }))).toBe(
    "sources/clusters/c1/specresync",
  );
});

test("a source refuses to listen to another source's agents", () => {
  expect(() => sourceTopics(parseTopics(PLAIN), "other")).toThrow(
    'topics.agentEvents is of the source "maestro", this is the source "other"',
  );
});

test("an agent refuses to listen to another consumer's specs", () => {
  const sourceEvents = "sources/maestro/consumers/c2/sourceevents";

  expect(() => agentTopics(parseTopics({ ...PLAIN, sourceEvents }), "c1")).toThrow(
    'topics.sourceEvents is of the consumer "c2", this is the agent of "c1"',
  );
});

test("an agent that is told no source cannot ask for specs", () => {
  const patterns = parseTopics({ ...PLAIN, agentEvents: "sources/+/consumers/+/agentevents" });

  expect(() =>
    agentTopics(patterns, "c1").topicOf(event("spec.resync_request", { originalsource: "" }))
  )
    .toThrow("topics.agentEvents names no source");
});

test.each([
  ["the topics must be set", {}],
  ["the topics must be set", { sourceEvents: PLAIN.sourceEvents }],
  ["topics.agentEvents", { ...PLAIN, agentEvents: "sources/maestro/consumers/+/sourceevents" }],
  ["topics.sourceEvents", { ...PLAIN, sourceEvents: "sources/#/consumers/+/sourceevents" }],
  ["topics.sourceEvents", { ...PLAIN, sourceEvents: 3 }],
  ["topics.agentBroadcast", { ...PLAIN, agentBroadcast: "consumers/c1/agentevents" }],
  ["the key topics.sourceEvent is not known", { ...PLAIN, sourceEvent: "x" }],
])("wrong topics are refused by name: %s", (message, given) => {
  expect(() => parseTopics(given)).toThrow(message);
});

test.each(["a/b", "+", "#", "", "a\u0000b"])("a consumer %p is no word of a topic", (name) => {
  const topics = sourceTopics(parseTopics(PLAIN), "maestro");

  expect(() => topics.topicOf(event("spec.create_request", { clustername: name }))).toThrow(
    "cannot be a word of an MQTT topic",
  );
});
