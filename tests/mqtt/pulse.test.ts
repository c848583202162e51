/** Who is shown as connected behind an MQTT broker. */

import { expect, test } from "bun:test";
import { openMqttAgentBroker } from "../../src/lib/mqtt/agent_broker.ts";
import { parseMqttConfig } from "../../src/lib/mqtt/config.ts";
import { allConsumers } from "../consumer/listed.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { testLogger } from "../harness/postgres.ts";
import { brokerFile, type Hub, joinAgent, openHub } from "./hub.ts";

async function shown({ database }: Hub) {
  return await allConsumers(database.db);
}

test("our agent is shown with its version as soon as it is there, though it holds nothing", async () => {
  await using mosquitto = await startMosquitto();
  await using hub = await openHub(mosquitto.port);
  const consumerName = await hub.consumer();

  await using _agent = await joinAgent(mosquitto.port, consumerName);

  const [consumer] = await eventually(
    () => shown(hub),
    ([first]) => first?.agent_version !== undefined,
  );
  expect(consumer).toMatchObject({ connection: "connected", agent_version: "test (simulated)" });
});

test(
  "an agent that says nothing is known by its subscription, and a consumer without one is not",
  async () => {
    await using mosquitto = await startMosquitto();
    await using hub = await openHub(mosquitto.port, { args: ["--status-check-interval", "200ms"] });
    const [silent, absent] = [await hub.consumer(), await hub.consumer()];
    const config = parseMqttConfig(brokerFile(mosquitto.port));
    const options = { agentId: "silent", tlsRefreshMs: 60_000, log: testLogger() };
    const events = {
      receive: () => Promise.resolve(),
      subscribed: () => Promise.resolve(),
      disconnected: () => {},
    };

    await using _broker = openMqttAgentBroker(config, events, { ...options, consumerName: silent });

    const consumers = await eventually(
      () => shown(hub),
      (all) => all.some(({ connection }) => connection === "connected"),
      { timeoutMs: 20_000 },
    );
    expect(new Map(consumers.map(({ name, connection }) => [name, connection]))).toEqual(
      new Map([[silent, "connected"], [absent, "unknown"]]),
    );
  },
  30_000,
);
