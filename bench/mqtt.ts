/**
 * What MQTT costs: `bun bench/mqtt.ts [--count 20000]`.
 *
 * One session of ours publishes, another receives and acknowledges, mosquitto stands between, with room for all of them:
 * events a second, and the CPU time of this process, both sides together, for each.
 */

import { parseArgs } from "node:util";
import { openSession, type Session } from "../src/lib/mqtt/session.ts";
import { MANIFEST_BUNDLES } from "../src/lib/wire/event.ts";
import { decodeMqtt, encodeMqtt, type ReceivedMessage } from "../src/lib/wire/mqtt.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { type Figure, printFigure } from "./figure.ts";

const TOPIC = "sources/maestro/consumers/c1/agentevents";
const BYTES = 1536;
const RUNS = 3;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
  },
});

const event = {
  id: crypto.randomUUID(),
  source: "c1-work-agent",
  type: `${MANIFEST_BUNDLES}.status.update_request`,
  time: "2026-01-02T03:04:05.678Z",
  datacontenttype: "application/json",
  extensions: {
    resourceid: crypto.randomUUID(),
    resourceversion: 1,
    clustername: "c1",
    originalsource: "maestro",
    sequenceid: "2006924427391930368",
    statushash: "a".repeat(64),
  },
  data: JSON.stringify({ conditions: [], padding: "x".repeat(BYTES) }),
};

function connect(
  port: number,
  clientId: string,
  receive: (message: ReceivedMessage) => void,
): Promise<Session> {
  return openSession({
    host: "127.0.0.1",
    port,
    dialTimeoutMs: 10_000,
    clientId,
    keepAliveSeconds: 60,
    cleanStart: true,
    sessionExpirySeconds: 0,
    receiveMax: 1000,
    receive: (_, message, acknowledge) => {
      receive(message);
      acknowledge();
    },
  });
}

/** Sends events from one session to another. */
async function sendEvents(count: number): Promise<Figure> {
  await using broker = await startMosquitto({
    config: ["max_inflight_messages 1000", "max_queued_messages 100000"],
  });
  let received = 0;
  const all = Promise.withResolvers<void>();
  const listener = await connect(broker.port, "listener", (message) => {
    decodeMqtt(message);
    if (++received === count) all.resolve();
  });
  await listener.subscribe([TOPIC], 1);
  const publisher = await connect(broker.port, "publisher", () => {});
  const began = performance.now();
  const cpu = process.cpuUsage();
  for (let sent = 0; sent < count; sent += 1000) {
    const part = Math.min(1000, count - sent);
    await Promise.all(
      Array.from({ length: part }, () => publisher.publish(TOPIC, encodeMqtt(event), 1)),
    );
  }
  await all.promise;
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - began) / 1000;
  await Promise.all([publisher.end("done"), listener.end("done")]);
  return {
    bench: "mqtt",
    what: "events over mosquitto",
    unit: "1/s",
    n: count,
    value: Math.round(count / seconds),
    cpu_us_each: Math.round((user + system) / count),
    bytes: BYTES,
  };
}

for (let run = 0; run < RUNS; run++) printFigure(await sendEvents(Number(values.count)));
process.exit(0);
