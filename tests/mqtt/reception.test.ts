/** What a server makes of what agents send it over a broker, sensible or not. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { EXT } from "../../src/lib/wire/event.ts";
import { versionDigest } from "../../src/lib/wire/status_hash.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { eventually } from "../harness/eventually.ts";
import { specResync, statusEvent } from "../harness/events.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import { testLogger } from "../harness/postgres.ts";
import { known, openHub } from "./hub.ts";
import { openPublisher } from "./publisher.ts";

let broker: Mosquitto;

beforeAll(async () => {
  broker = await startMosquitto();
});

afterAll(() => broker[Symbol.asyncDispose]());

test("what an agent asks of another source takes nothing back here", async () => {
  await using hub = await openHub(broker.port);
  const consumerName = await hub.consumer();
  await using agent = await openPublisher(broker.port, consumerName);
  const [one, other] = [await hub.create(consumerName), await hub.create(consumerName)];
  await agent.publish(statusEvent({ id: one.id, consumerName }));
  await eventually(() => known(hub, one.id), (row) => row?.observed_version === 1);

  const question = specResync(consumerName, []);
  question.extensions["originalsource"] = "somebody";
  await agent.publish(question);
  await agent.publish(statusEvent({ id: other.id, consumerName }));
  await eventually(() => known(hub, other.id), (row) => row?.observed_version === 1);

  expect((await known(hub, one.id))?.observed_version).toBe(1);
});

test("an agent that says what it holds between two reports is not asked for a list", async () => {
  const lines: string[] = [];
  await using hub = await openHub(broker.port, {
    log: testLogger((line) => void lines.push(line)),
  });
  const consumerName = await hub.consumer();
  await using agent = await openPublisher(broker.port, consumerName);
  const held: { resourceId: string; version: number }[] = [];
  const answered = () => lines.filter((line) => line.includes("answered a brief resync")).length;
  const asked = () => lines.filter((line) => line.includes("asked an agent what it holds")).length;

  for (let round = 1; round <= 10; round++) {
    const [before, after] = [await hub.create(consumerName), await hub.create(consumerName)];
    held.push({ resourceId: before.id, version: 1 });
    const question = specResync(consumerName, []);
    question.extensions[EXT.versionDigest] = versionDigest(held);
    await Promise.all([
      agent.publish(statusEvent({ id: before.id, consumerName })),
      agent.publish(question),
      agent.publish(statusEvent({ id: after.id, consumerName })),
    ]);
    held.push({ resourceId: after.id, version: 1 });
    await eventually(() => answered() + asked(), (count) => count === round);
    await eventually(() => known(hub, after.id), (row) => row?.observed_version === 1);
  }

  expect(asked()).toBe(0);
});

test("a report in structured mode is stored, and what is no event holds up nothing", async () => {
  const lines: string[] = [];
  await using hub = await openHub(broker.port, {
    log: testLogger((line) => void lines.push(line)),
  });
  const consumerName = await hub.consumer();
  const { id } = await hub.create(consumerName);
  const topic = `sources/maestro/consumers/${consumerName}/agentevents`;
  const property = (name: string, value: string) => ["-D", "publish", "user-property", name, value];

  await send(topic, ["-m", "no event at all"]);
  await send(topic, ["-n"]);
  await send(topic, ["-m", "{", ...property("ce-specversion", "1.0")]);
  await send(topic, [
    ...["-m", "{}", ...property("ce-specversion", "1.0"), ...property("ce-id", "1")],
    ...[...property("ce-source", "a"), ...property("ce-type", "nonsense")],
  ]);
  await send(topic, ["-m", "[1,", "-D", "publish", "content-type", "application/cloudevents+json"]);
  await send(topic, [
    ...["-m", encodeStructured(statusEvent({ id, consumerName }))],
    ...["-D", "publish", "content-type", "application/cloudevents+json"],
  ]);
  await eventually(() => known(hub, id), (row) => row?.observed_version === 1);

  const refused = lines.filter((line) => line.includes("cannot use a message"));
  expect(refused).toHaveLength(5);
  expect(hub.flows.readiness()).toBeUndefined();
});

/** Publishes with a client that is not ours. */
async function send(topic: string, args: string[]): Promise<void> {
  const command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", String(broker.port), "-V", "mqttv5"];
  const child = Bun.spawn([...command, "-q", "1", "-t", topic, ...args], { stdin: "ignore" });
  if (await child.exited !== 0) throw new Error(`mosquitto_pub refused ${args.join(" ")}`);
}
