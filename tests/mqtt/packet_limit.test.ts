/** Twenty thousand resources and a broker that takes only small packets. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { openMqttAgentBroker } from "../../src/lib/mqtt/agent_broker.ts";
import { parseMqttConfig } from "../../src/lib/mqtt/config.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { decodeStatusResync, NOTHING } from "../../src/lib/wire/resync.ts";
import type { Broker } from "../../src/lib/work/broker.ts";
import type { Works } from "../../src/lib/work/receive.ts";
import { specResyncRequests } from "../../src/lib/work/resync.ts";
import { eventually } from "../harness/eventually.ts";
import { statusEvent } from "../harness/events.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { testLogger } from "../harness/postgres.ts";
import { brokerFile, type Hub, openHub } from "./hub.ts";

const TIMEOUT_MS = 300_000;
/** Thousands of reports, each after the one before: a busy machine takes a minute. */
const PATIENCE = { timeoutMs: 140_000 };
const COUNT = 20_000;

/** Resources at version 2, as many as the test needs, written as fast as PostgreSQL can. */
async function fill(hub: Hub, consumerName: string): Promise<void> {
  await query(
    hub.database.db,
    "insert into resources (id, name, source, consumer_name, type, data_type, version, " +
      "observed_version, spec, spec_hash, spec_event) " +
      "select id, id, 'tests', $1, 'Bundle', $2, 2, 2, '{\"manifests\":[]}', '', " +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}' ` +
      "from (select gen_random_uuid()::text as id from generate_series(1, $3::int)) made",
    [consumerName, MANIFEST_BUNDLES, COUNT],
  );
}

/** The agent's way to the broker, and an agent that takes what comes and reports it. */
function joinBroker(port: number, consumerName: string, held: Map<string, number>) {
  const log = testLogger();
  const received: CloudEvent[] = [];
  const questioned = new Set<string>();
  const requests: CloudEvent[] = [];
  const agent = { agentId: `${consumerName}-work-agent`, consumerName, agentVersion: "0.0.0" };
  const broker: Broker = openMqttAgentBroker(parseMqttConfig(brokerFile(port)), {
    async receive(event) {
      if (event.type.endsWith("status.resync_request")) {
        const asked = decodeStatusResync(event.data).map(({ resourceId }) => resourceId);
        // The server's check of now and then asks about nothing.
        for (const id of asked) if (id !== NOTHING.resourceId) questioned.add(id);
        return;
      }
      received.push(event);
      const id = String(event.extensions["resourceid"]);
      held.set(id, Number(event.extensions["resourceversion"]));
      await broker.publish(statusEvent({ id, consumerName, version: held.get(id) ?? 0 }));
    },
    async subscribed() {
      const reporter = { ...agent, agentVersion: "test" };
      const works = [...held].map(([uid, version]) => [uid, { uid, version, dataType }] as const);
      const known = new Map(works) as unknown as Works;
      requests.push(...specResyncRequests(known, dataType, reporter, broker.eventBytesMax));
      for (const request of requests) await broker.publish(request);
    },
    disconnected: () => {},
  }, { ...agent, tlsRefreshMs: 60_000, log });
  return { broker, received, questioned, requests };
}

const dataType = MANIFEST_BUNDLES;

test("M13: 20,000 resources of one consumer resync through a limit of 256 KiB", async () => {
  await using small = await startMosquitto({ config: ["max_packet_size 262144"] });
  await using hub = await openHub(small.port);
  const consumer = await hub.consumer();
  await fill(hub, consumer);
  const rows = await query<{ id: string }>(hub.database.db, "select id from resources", []);
  // Of ten one is missing and one behind.
  const held = new Map(
    rows.flatMap(({ id }, index) =>
      index % 10 === 0 ? [] : [[id, index % 10 === 1 ? 1 : 2] as const]
    ),
  );

  const { broker, received, questioned, requests } = joinBroker(small.port, consumer, held);
  await using _broker = broker;
  await eventually(
    () => [...held.values()].filter((version) => version === 2).length,
    (count) => count === COUNT,
    PATIENCE,
  );
  await eventually(() => questioned.size, (size) => size === COUNT, PATIENCE);

  expect(requests.length).toBeGreaterThan(5);
  expect(received).toHaveLength(COUNT / 5);
  expect(new Set(received.map(({ extensions }) => extensions["resourceversion"]))).toEqual(
    new Set(["2"]),
  );
}, TIMEOUT_MS);
