/**
 * What MQTT costs: `bun bench/mqtt.ts [--only events|agent] [--count 20000] [--resources 5000]`.
 *
 * "events": one session of ours publishes, another receives and acknowledges, mosquitto stands between, with room for all of
 * them; events a second, and the CPU time of this process, both sides together, for each. "agent": a new agent gets all
 * resources of its consumer and reports them, on a cluster that is made up, over mosquitto with its default queues;
 * seconds until the last report is stored, and how many were sent more than once. The server's flows run in this
 * process, the agent in its own. A JSON line for each run.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openSession, type Session } from "../src/lib/mqtt/session.ts";
import { MANIFEST_BUNDLES } from "../src/lib/wire/event.ts";
import { decodeMqtt, encodeMqtt, type MqttMessage } from "../src/lib/wire/mqtt.ts";
import { eventually } from "../tests/harness/eventually.ts";
import { bundle } from "../tests/harness/events.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { testLogger } from "../tests/harness/postgres.ts";
import { brokerFile, openHub, progress } from "../tests/mqtt/hub.ts";

const TOPIC = "sources/maestro/consumers/c1/agentevents";
const BYTES = 1536;
const RUNS = 3;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    count: { type: "string", default: "20000" },
    resources: { type: "string", default: "5000" },
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
  receive: (message: MqttMessage) => void,
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
async function sendEvents(count: number): Promise<Record<string, unknown>> {
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
    what: "events over mosquitto",
    unit: "events/s",
    n: count,
    value: Math.round(count / seconds),
    cpu_us_each: Math.round((user + system) / count),
    bytes: BYTES,
  };
}

/** Brings an agent up to date that knows nothing. */
async function fillAgent(count: number): Promise<Record<string, unknown>> {
  await using broker = await startMosquitto();
  let sent = 0;
  const log = testLogger((line) => {
    if (line.includes('"sent a spec"')) sent++;
  });
  await using hub = await openHub(broker.port, { log });
  const consumer = await hub.consumer();
  const made = Array.from({ length: count }, (_, index) => ({
    spec: bundle().replace('"name":"a"', `"name":"cm-${index}"`),
  }));
  for (let from = 0; from < count; from += 1000) {
    await Promise.all(made.slice(from, from + 1000).map((parts) => hub.create(consumer, parts)));
  }
  const began = performance.now();
  await using _agent = startAgent(broker.port, consumer);
  await eventually(
    () => progress(hub.database),
    ({ applied }) => applied === count,
    { timeoutMs: 300_000, intervalMs: 100 },
  );
  const seconds = (performance.now() - began) / 1000;
  return { what: "resources of a new agent", unit: "s", n: count, value: seconds, sent };
}

/** The agent as a program of its own. */
function startAgent(port: number, consumerName: string): AsyncDisposable {
  const folder = mkdtempSync(join(tmpdir(), "maestro-bench-"));
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(port));
  const child = Bun.spawn([
    ...[process.execPath, join(import.meta.dir, "../src/agent.ts"), "--simulate", "1"],
    ...["--consumer-name", consumerName, "--listen", "127.0.0.1:0", "--log-level", "error"],
    ...["--workload-source-driver", "mqtt", "--workload-source-config", file],
  ]);
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
      rmSync(folder, { recursive: true });
    },
  };
}

const BENCHES: Record<string, () => Promise<Record<string, unknown>>> = {
  events: () => sendEvents(Number(values.count)),
  agent: () => fillAgent(Number(values.resources)),
};

for (const [name, run] of Object.entries(BENCHES)) {
  if (values.only !== undefined && values.only !== name) continue;
  for (let count = 0; count < RUNS; count++) {
    process.stdout.write(`${JSON.stringify(await run())}\n`);
  }
}
process.exit(0);
