/**
 * A new agent over MQTT: `bun bench/new_agent.ts [--resources 20000]`.
 *
 * It gets all resources of its consumer and reports them, on a cluster that is made up, over mosquitto with its default
 * queues: which reports are missing in the end, how long it takes, and how many specs were sent. The server's flows run in
 * this process, the agent in its own.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cpuMs } from "../tests/harness/cpu.ts";
import { bundle } from "../tests/harness/events.ts";
import { startMosquitto } from "../tests/harness/mosquitto.ts";
import { testLogger } from "../tests/harness/postgres.ts";
import { brokerFile, openHub, progress } from "../tests/mqtt/hub.ts";
import { printFigure, rounded } from "./figure.ts";

const TIMEOUT_MS = 300_000;
const { values } = parseArgs({ options: { resources: { type: "string", default: "20000" } } });

/** Brings an agent up to date that knows nothing. */
async function fillAgent(count: number): Promise<void> {
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
  const [ownBefore, brokerBefore] = [process.cpuUsage(), broker.cpuMs()];
  await using agent = startAgent(broker.port, consumer);
  let applied = 0;
  while (applied < count && performance.now() - began < TIMEOUT_MS) {
    await Bun.sleep(100);
    applied = (await progress(hub.database)).applied;
  }
  const own = process.cpuUsage(ownBefore);
  const shared = {
    ...{ bench: "new_agent", n: count, sent },
    server_cpu_ms: rounded((own.user + own.system) / 1_000 / count),
    agents_cpu_ms: rounded(cpuMs(agent.pid) / count),
    broker_cpu_ms: rounded((broker.cpuMs() - brokerBefore) / count),
  };
  printFigure({
    ...shared,
    promise: "reports-at-once",
    what: "reports that are missing in the end",
    value: count - applied,
    unit: "",
  });
  printFigure({
    ...shared,
    what: "until the last report was stored",
    value: (performance.now() - began) / 1_000,
    unit: "s",
  });
}

/** The agent as a program of its own. */
function startAgent(port: number, consumerName: string): AsyncDisposable & { pid: number } {
  const folder = mkdtempSync(join(tmpdir(), "maestro-bench-"));
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(port));
  const child = Bun.spawn([
    ...[process.execPath, join(import.meta.dir, "../src/agent.ts"), "--simulate", "1"],
    ...["--consumer-name", consumerName, "--listen", "127.0.0.1:0", "--log-level", "error"],
    ...["--workload-source-driver", "mqtt", "--workload-source-config", file],
  ]);
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
      rmSync(folder, { recursive: true });
    },
  };
}

await fillAgent(Number(values.resources));
process.exit(0);
