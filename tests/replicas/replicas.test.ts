/** Three servers over one database, with agents and sources spread over them, restarted one after the other. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query } from "../../src/lib/db/query.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { bundle, specEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";
import { startAgent } from "../harness/programs.ts";
import {
  lastKnown,
  publishUntilAccepted,
  type Replicas,
  startReplicas,
  startSteadySource,
} from "../harness/replicas.ts";
import { brokerFile } from "../mqtt/hub.ts";

const CONSUMERS = 6;
const RESOURCES = 30;
const TIMEOUT_MS = 180_000;
const PATIENCE = { timeoutMs: 90_000, intervalMs: 100 };
const SIGNALS = ["SIGTERM", "SIGKILL", "SIGTERM"] as const;

interface Road extends AsyncDisposable {
  database: TestDatabase;
  replicas: Replicas;
}

/** Starts the servers and, in one process, an agent for each consumer. */
async function openGrpc(): Promise<Road> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  await createConsumers(database);
  const replicas = stack.use(await startReplicas(database.url, 3));
  stack.use(await startFleet(["--server", replicas.agents]));
  return keep(stack, { database, replicas });
}

/** The same over mosquitto. With a group each report goes to one of the servers, without it to all. */
async function openMqtt(group: string | undefined): Promise<Road> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  await createConsumers(database);
  const broker = stack.use(await startMosquitto());
  const folder = mkdtempSync(join(tmpdir(), "maestro-replicas-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [servers, agents] = [join(folder, "servers.yaml"), join(folder, "agents.yaml")];
  writeFileSync(servers, brokerFile(broker.port, { group }));
  writeFileSync(agents, brokerFile(broker.port));
  const replicas = stack.use(
    await startReplicas(database.url, 3, (index) => [
      ...["--message-broker-type=mqtt", "--message-broker-config-file", servers],
      ...["--client-id", `replica-${index}`],
    ]),
  );
  stack.use(
    await startFleet(["--workload-source-driver", "mqtt", "--workload-source-config", agents]),
  );
  return keep(stack, { database, replicas });
}

function keep(stack: AsyncDisposableStack, road: Omit<Road, keyof AsyncDisposable>): Road {
  const owned = stack.move();
  return { ...road, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const startFleet = (args: string[]) =>
  startAgent({
    consumerName: "fleet",
    isFromSource: true,
    args: ["--simulate", String(CONSUMERS), "--log-level", "info", ...args],
  });

async function createConsumers({ db }: TestDatabase): Promise<void> {
  const text = "insert into consumers (id, name) select 'fleet-' || n, 'fleet-' || n " +
    "from generate_series(1, $1::int) n";
  await query(db, text, [CONSUMERS]);
}

/** Of each resource the version, once all agents have applied what is stored; undefined before. */
async function settled({ db }: TestDatabase): Promise<Map<string, number> | undefined> {
  const rows = await query<{ id: string; version: number; is_settled: boolean }>(
    db,
    "select id, version, version = observed_version and version = applied_version " +
      "and deleted_at is null and status is not null as is_settled from resources",
    [],
  );
  if (!rows.every((row) => row.is_settled)) return undefined;
  return new Map(rows.map(({ id, version }) => [id, version]));
}

/** Where a source was told something older than it had been told before. */
function stepsBack(heard: CloudEvent[]): string[] {
  const newest = new Map<string, bigint>();
  return heard.flatMap(({ extensions }) => {
    const id = String(extensions["resourceid"]);
    const sequence = BigInt(String(extensions["sequenceid"]));
    const known = newest.get(id) ?? 0n;
    if (sequence >= known) newest.set(id, sequence);
    return sequence < known ? [`${id}: ${sequence} after ${known}`] : [];
  });
}

const sorted = (known: Map<string, number>) => [...known].toSorted();

/** Writes in rounds until told to stop: all resources are created, then updated; one in three is deleted. */
function startWriter({ replicas }: Road, ids: string[]) {
  let isStopping = false;
  const write = (action: "create_request" | "update_request" | "delete_request", round: number) =>
    Promise.all(ids.map((id, index) => {
      if (action === "delete_request" && index % 3 > 0) return;
      const consumerName = `fleet-${1 + index % CONSUMERS}`;
      const event = specEvent({ action, id, consumerName, data: named(index, round) });
      return publishUntilAccepted(replicas.sources, event);
    }));
  const run = async () => {
    await write("create_request", 1);
    for (let round = 2; !isStopping; round++) await write("update_request", round);
    await write("delete_request", 0);
  };
  const finished = run();
  return {
    async stop() {
      isStopping = true;
      await finished;
    },
  };
}

const named = (index: number, round: number) =>
  bundle(String(round)).replace('"name":"a"', `"name":"cm-${index}"`);

async function survive(road: Road): Promise<void> {
  const sources = [1, 2, 3].map(() => startSteadySource(road.replicas.sources, "tests"));
  const ids = Array.from({ length: RESOURCES }, () => crypto.randomUUID());
  const writer = startWriter(road, ids);
  await eventually(() => sources.every((one) => one.heard().length > 0), Boolean, PATIENCE);

  for (const [index, signal] of SIGNALS.entries()) await road.replicas.restart(index, signal);
  for (const index of SIGNALS.keys()) await road.replicas.restart(index, "SIGKILL");
  await writer.stop();
  const kept = ids.filter((_, index) => index % 3 > 0);
  const stored = await eventually(
    () => settled(road.database),
    (known) => known?.size === kept.length,
    PATIENCE,
  );

  const expected = sorted(stored ?? new Map());
  expect(expected.map(([id]) => id)).toEqual(kept.toSorted());
  for (const source of sources) {
    await eventually(
      () => sorted(lastKnown(source.heard())),
      (known) => Bun.deepEquals(known, expected),
      PATIENCE,
    );
    expect(stepsBack(source.heard())).toEqual([]);
    source.close();
  }
}

test("M12: behind a round-robin each subscriber of three servers sees every status", async () => {
  await using road = await openGrpc();
  const sources = [1, 2, 3].map(() => startSteadySource(road.replicas.sources, "tests"));
  await eventually(() => sources.every((one) => one.connections() === 1), Boolean, PATIENCE);
  const ids = Array.from({ length: 12 }, () => crypto.randomUUID());

  await Promise.all(ids.map((id, index) => {
    const consumerName = `fleet-${1 + index % CONSUMERS}`;
    const event = specEvent({ id, consumerName, data: named(index, 1) });
    return publishUntilAccepted(road.replicas.sources, event);
  }));

  const expected = ids.map((id): [string, number] => [id, 1]).toSorted();
  for (const source of sources) {
    const known = () => sorted(lastKnown(source.heard()));
    await eventually(known, (all) => Bun.deepEquals(all, expected), PATIENCE);
    expect(source.connections()).toBe(1);
    source.close();
  }
}, TIMEOUT_MS);

test(
  "three servers over gRPC, each ended twice under load, lose and take back nothing",
  async () => {
    await using road = await openGrpc();
    await survive(road);
  },
  TIMEOUT_MS,
);

test(
  "three servers that share their reports over MQTT, each ended twice, lose nothing",
  async () => {
    await using road = await openMqtt("maestro");
    await survive(road);
  },
  TIMEOUT_MS,
);

test(
  "three servers that all get every report over MQTT, each ended twice, lose nothing",
  async () => {
    await using road = await openMqtt(undefined);
    await survive(road);
  },
  TIMEOUT_MS,
);
