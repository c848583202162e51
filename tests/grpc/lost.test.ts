/** What is lost between a server and our agent over gRPC, and over MQTT, and how it is found again. */

import { afterAll, expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import type { Acceptor } from "../../src/lib/spec/accept.ts";
import type { WorkAgent } from "../../src/lib/work/agent.ts";
import type { Kube } from "../../src/lib/work/kube_api.ts";
import { openDoors } from "../harness/doors.ts";
import { eventually } from "../harness/eventually.ts";
import { joinGrpcAgent } from "../harness/grpc_agent.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase, type TestDatabase } from "../harness/postgres.ts";
import { refOf } from "../kube/objects.ts";
import { joinAgent, known, openHub } from "../mqtt/hub.ts";
import { newResource, newUpdate } from "../spec/specs.ts";

const broker = await startMosquitto();
afterAll(() => broker[Symbol.asyncDispose]());

const CHECK = ["--status-check-interval=500ms"];
const PATIENCE = { timeoutMs: 40_000 };

interface Server extends AsyncDisposable {
  acceptor: Acceptor;
  join(consumerName: string, kube: Kube): Promise<WorkAgent>;
}

const ROADS: [string, (database: TestDatabase) => Promise<Server>][] = [
  ["gRPC", async (database) => {
    const doors = await openDoors({ database, args: CHECK });
    return {
      acceptor: doors.flows.acceptor,
      join: (consumerName, kube) => joinGrpcAgent(doors.agents, consumerName, { kube }),
      [Symbol.asyncDispose]: () => doors[Symbol.asyncDispose](),
    };
  }],
  ["MQTT", async (database) => {
    const hub = await openHub(broker.port, { database, args: CHECK });
    return {
      acceptor: hub.flows.acceptor,
      join: (consumerName, kube) => joinAgent(broker.port, consumerName, { kube }),
      [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
    };
  }],
];

/** A consumer whose name is not its id, as those of the first Go servers were not. */
async function addConsumer({ db }: TestDatabase): Promise<string> {
  const name = `named-${crypto.randomUUID()}`;
  const text = "insert into consumers (id, name) values ($1, $2)";
  await query(db, text, [crypto.randomUUID(), name]);
  return name;
}

const untilApplied = (database: TestDatabase, id: string, version: number) =>
  eventually(
    () => known({ database }, id),
    (row) =>
      row?.version === version && row.observed_version === version &&
      row.applied_version === version && (row.status ?? "").includes("Available"),
    PATIENCE,
  );

async function valueOf(kube: Kube): Promise<unknown> {
  const object = await kube.get(await refOf(kube, "v1", "ConfigMap", "a"));
  return (object?.["data"] as { value?: unknown } | undefined)?.value;
}

const change = (db: Db, set: string, id: string) =>
  query(db, `update resources set ${set} where id = $1`, [id]);

for (const [road, open] of ROADS) {
  test(`a change after the database was restored reaches its agent, over ${road}`, async () => {
    await using database = await createDatabase({ maxConnections: 8 });
    await using server = await open(database);
    const consumer = await addConsumer(database);
    const kube = createSimulatedKube();
    await using _agent = await server.join(consumer, kube);
    const resource = newResource(consumer);
    const { id } = resource;
    await server.acceptor.create(resource);
    for (const version of [1, 2, 3, 4]) {
      await untilApplied(database, id, version);
      await server.acceptor.update(newUpdate(id, version, `v${version + 1}`));
    }
    await untilApplied(database, id, 5);

    // As in a backup from before the last two updates.
    await change(database.db, "version = 3, observed_version = 3, spec_hash = 'v3'", id);
    await server.acceptor.update(newUpdate(id, 3, "after"));

    await untilApplied(database, id, 6);
    expect(await valueOf(kube)).toBe("after");
  }, 60_000);

  test(
    `M32: after an outage of the server stale statuses of a named consumer are repaired, over ${road}`,
    async () => {
      await using database = await createDatabase({ maxConnections: 8 });
      const consumer = await addConsumer(database);
      const kube = createSimulatedKube();
      const resource = newResource(consumer);
      const first = await open(database);
      await first.acceptor.create(resource);
      {
        await using _agent = await first.join(consumer, kube);
        await untilApplied(database, resource.id, 1);
      }
      await first[Symbol.asyncDispose]();
      // As a standby would know it that took over without the last report.
      const lost = "status = null, status_hash = null, status_version = null, applied_version = 0";
      await change(database.db, lost, resource.id);

      await using second = await open(database);
      await using _agent = await second.join(consumer, kube);

      await untilApplied(database, resource.id, 1);
    },
    60_000,
  );

  const LOST: [string, (spec: string) => string, number, string][] = [
    [
      "a report that was acknowledged and lost",
      () => "status = null, status_hash = null, applied_version = 0",
      1,
      "1",
    ],
    // The status says nothing of it, so only the versions differ.
    [
      "a version that was wrongly believed to be held",
      (spec) => `version = 2, observed_version = 2, spec = '${spec.replace('"1"', '"2"')}'`,
      2,
      "2",
    ],
  ];
  test.each(LOST)(
    `on a connection that stands, over ${road}, an agent soon finds %s`,
    async (_, set, version, value) => {
      await using database = await createDatabase({ maxConnections: 8 });
      await using server = await open(database);
      const consumer = await addConsumer(database);
      const kube = createSimulatedKube();
      await using _agent = await server.join(consumer, kube);
      const resource = newResource(consumer);
      await server.acceptor.create(resource);
      await untilApplied(database, resource.id, 1);

      await change(database.db, set(resource.spec), resource.id);

      await untilApplied(database, resource.id, version);
      expect(await valueOf(kube)).toBe(value);
    },
    60_000,
  );

  test(
    `I9: when all is well, looking for what was lost writes nothing to the database, over ${road}`,
    async () => {
      await using database = await createDatabase({ maxConnections: 8 });
      await using server = await open(database);
      const consumer = await addConsumer(database);
      await using _agent = await server.join(consumer, createSimulatedKube());
      const resource = newResource(consumer);
      await server.acceptor.create(resource);
      await untilApplied(database, resource.id, 1);
      const state = async () => {
        const text = "select (select string_agg(id || xmin, ',') from resources) as resources, " +
          "(select count(*) from changes) as changes, (select count(*) from events) as events";
        return await query(database.db, text, []);
      };
      let before: unknown[] = [];
      // The first report may be followed by another: a question that left before it was stored is answered too.
      await eventually(
        async () => {
          const last = before;
          before = await state();
          return Bun.deepEquals(last, before);
        },
        Boolean,
        { intervalMs: 2_000 },
      );

      // Longer than an agent has to be quiet before it compares.
      await Bun.sleep(8_000);

      expect(await state()).toEqual(before);
    },
    60_000,
  );
}
