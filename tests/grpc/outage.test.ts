/** M10: PostgreSQL goes away under load and comes back, and nobody restarts anything. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { startEmbeddedPostgres } from "../../src/lib/db/embedded.ts";
import { migrate } from "../../src/lib/db/migrate.ts";
import { eventually } from "../harness/eventually.ts";
import { specEvent, statusEvent } from "../harness/events.ts";
import { openPublisher, type Refusal, refused, subscribe } from "../harness/grpc.ts";
import { fastestFolder, testLogger } from "../harness/postgres.ts";
import { type OutageResult, runOutage } from "../harness/outage.ts";
import { startServer } from "../harness/programs.ts";

const UNAVAILABLE = 14;
const OUTAGE_MS = 5_000;
const CALLERS = 8;

interface Call {
  id: string;
  startedAt: number;
  ms: number;
  refusal: Refusal | undefined;
}

test("M10: five seconds without PostgreSQL lose nothing that was accepted", async () => {
  await using stack = new AsyncDisposableStack();
  const stateDirectory = mkdtempSync(join(fastestFolder(), "maestro-outage-"));
  stack.defer(() => rmSync(stateDirectory, { recursive: true, force: true }));
  const start = () => startEmbeddedPostgres({ stateDirectory, log: testLogger(), searchFrom: [] });
  const first = await start();
  const consumerName = "outage";
  const admin = connect(first.address, { maxConnections: 1, applicationName: "test" });
  await migrate(admin, testLogger());
  await createConsumer(admin, { name: consumerName });
  await admin.end();
  const server = stack.use(await startServer({ databaseUrl: first.url, isFromSource: true }));
  const agents = `127.0.0.1:${server.agents}`;
  const sources = `127.0.0.1:${server.sources}`;
  const agent = stack.use(await subscribe(agents, { clusterName: consumerName }));
  const source = stack.use(await subscribe(sources, { source: "tests" }));
  const publisher = stack.use(openPublisher(sources));
  const calls: Call[] = [];
  let isOver = false;
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!isOver) {
      const id = crypto.randomUUID();
      const startedAt = performance.now();
      const refusal = await publisher.publish(specEvent({ id, consumerName }))
        .then(() => undefined, (error) => refused(Promise.reject(error)));
      calls.push({ id, startedAt, ms: performance.now() - startedAt, refusal });
      await Bun.sleep(refusal === undefined ? 20 : 100);
    }
  });
  await eventually(() => calls.length > 50);

  // Until it has ended, what is published may still be stored.
  await first[Symbol.asyncDispose]();
  const downAt = performance.now();
  await Bun.sleep(OUTAGE_MS);
  const health = await fetch(`http://127.0.0.1:${server.health}/livez`);
  const readiness = await fetch(`http://127.0.0.1:${server.health}/healthcheck`);
  const upAt = performance.now();
  const second = stack.use(await start());
  await eventually(() => calls.some((call) => call.startedAt > upAt && !call.refusal));
  const healedMs = performance.now() - upAt;
  isOver = true;
  await Promise.all(callers);

  const accepted = calls.filter((call) => call.refusal === undefined).map(({ id }) => id);
  // One that is under way when PostgreSQL returns may well succeed.
  const meanwhile = calls.filter(({ startedAt, ms }) =>
    startedAt > downAt + 500 && startedAt + ms < upAt
  );
  const received = () => new Set(agent.events.map(({ extensions }) => extensions["resourceid"]));
  await eventually(() => accepted.filter((id) => !received().has(id)), (ids) => ids.length === 0, {
    timeoutMs: 30_000,
  });
  const last = accepted.at(-1) ?? "";
  const reporter = stack.use(openPublisher(agents));
  await reporter.publish(statusEvent({ id: last, consumerName }));
  await source.waitFor(({ extensions }) => extensions["resourceid"] === last);

  expect(second.url).toBeString();
  expect(meanwhile.length).toBeGreaterThan(CALLERS);
  expect(new Set(meanwhile.map(({ refusal }) => refusal?.code))).toEqual(new Set([UNAVAILABLE]));
  expect(Math.max(...calls.map(({ ms }) => ms))).toBeLessThan(2_000);
  expect(healedMs).toBeLessThan(10_000);
  expect([health.status, readiness.status]).toEqual([200, 503]);
  expect(server.isRunning()).toBeTrue();
  expect(server.log()).not.toContain("TypeError");
}, 90_000);

/** What an outage may cost, whatever its kind. */
function expectNothingLost(result: OutageResult): void {
  expect(result).toMatchObject({
    serverExited: false,
    agentExited: false,
    oddities: [],
    lost: 0,
    isRetryAfterGiven: true,
    livez: 200,
  });
  expect(result.health).toStartWith("503 ");
  // Two seconds are the promise, which bench/outage.ts measures; a machine for tests may be overloaded.
  expect(result.slowestRefusalMs).toBeLessThan(5_000);
  expect(result.deliveredMs).toBeLessThan(30_000);
  expect(result.rssMaxMb).toBeLessThan(300);
}

const LOAD = { outageMs: 4_000, aroundMs: 1_000, writesPerSecond: 200, consumers: 4 };

test(
  "M10: while PostgreSQL stands still, writes are refused in time and nothing is lost",
  async () => {
    const result = await runOutage({ ...LOAD, what: "stalled database" });

    expectNothingLost(result);
    expect(result.refused).toBeGreaterThan(300);
  },
  90_000,
);

test(
  "M10, M11: without PostgreSQL and broker nothing is lost, and all is delivered after",
  async () => {
    const result = await runOutage({ ...LOAD, what: "both" });

    expectNothingLost(result);
    expect(result.refused).toBeGreaterThan(300);
  },
  90_000,
);

test(
  "M11: without its broker a server takes writes, says that it is cut off, and delivers after",
  async () => {
    const result = await runOutage({ ...LOAD, what: "broker" });

    expectNothingLost(result);
    expect(result.health).toContain("the broker");
    expect(result.acceptedMeanwhile).toBeGreaterThan(300);
  },
  90_000,
);
