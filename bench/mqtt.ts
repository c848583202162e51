/**
 * What an event costs on its way over an MQTT broker: `bun bench/mqtt.ts [--count 20000]`.
 *
 * One session of ours publishes, another receives and acknowledges, mosquitto stands between; all on one machine. It
 * prints a JSON line for each run: events a second, and the CPU time of this process, both sides together, for each.
 */

import { parseArgs } from "node:util";
import { openSession, type Session } from "../src/lib/mqtt/session.ts";
import { MANIFEST_BUNDLES } from "../src/lib/wire/event.ts";
import { decodeMqtt, encodeMqtt } from "../src/lib/wire/mqtt.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";

const TOPIC = "sources/maestro/consumers/c1/agentevents";
const BYTES = 1536;
const RUNS = 5;

const { values } = parseArgs({ options: { count: { type: "string", default: "20000" } } });
const count = Number(values.count);

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

await using broker = await startMosquitto({
  config: ["max_inflight_messages 1000", "max_queued_messages 100000"],
});

function connect(clientId: string, receive: (payload: () => unknown) => void): Promise<Session> {
  return openSession({
    host: "127.0.0.1",
    port: broker.port,
    dialTimeoutMs: 10_000,
    clientId,
    keepAliveSeconds: 60,
    cleanStart: true,
    sessionExpirySeconds: 0,
    receiveMax: 1000,
    receive: (_, message, acknowledge) => {
      receive(() => decodeMqtt(message));
      acknowledge();
    },
  });
}

for (let run = 0; run < RUNS; run++) {
  let received = 0;
  const all = Promise.withResolvers<void>();
  const listener = await connect("listener", (decode) => {
    decode();
    if (++received === count) all.resolve();
  });
  await listener.subscribe([TOPIC], 1);
  const publisher = await connect("publisher", () => {});
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
  const line = JSON.stringify({
    what: "events over mosquitto",
    unit: "events/s",
    n: count,
    value: Math.round(count / seconds),
    cpu_us_each: Math.round((user + system) / count),
    bytes: BYTES,
  });
  process.stdout.write(`${line}\n`);
  await Promise.all([publisher.end("done"), listener.end("done")]);
}
process.exit(0);
