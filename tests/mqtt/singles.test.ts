/** Single manifests, the data type from before 2025-03, over a real broker. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { MANIFEST_BUNDLES, MANIFESTS } from "../../src/lib/wire/event.ts";
import { parseStatus } from "../../src/lib/wire/work_status.ts";
import { eventually } from "../harness/eventually.ts";
import { specEvent } from "../harness/events.ts";
import { vector } from "../harness/golden.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import { type Hub, joinAgent, known, openHub } from "./hub.ts";

const DATA_TYPES = [MANIFEST_BUNDLES, MANIFESTS];

let broker: Mosquitto;

beforeAll(async () => {
  broker = await startMosquitto();
});

afterAll(() => broker[Symbol.asyncDispose]());

/** Stores a single manifest, as its source has published it. */
async function createSingle(hub: Hub, consumerName: string): Promise<string> {
  const id = crypto.randomUUID();
  const { type, ...event } = specEvent({ id, consumerName });
  const legacy = { ...event, type: type.replace(MANIFEST_BUNDLES, MANIFESTS) };
  const spec = vector("V17").data ?? "";
  await hub.create(consumerName, { id, name: id, type: "Single", spec, event: legacy });
  return id;
}

test("a single manifest is applied, reported in its own type, and removed", async () => {
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(broker.port, consumer, { dataTypes: DATA_TYPES });
  const id = await createSingle(hub, consumer);

  const row = await eventually(
    () => known(hub, id),
    (row) => row?.status?.includes("readyReplicas") === true,
  );
  await hub.flows.acceptor.delete({ id });
  await eventually(() => known(hub, id), (row) => row === undefined);

  expect(JSON.parse(row?.status_event ?? "").type).toStartWith(`${MANIFESTS}.status.`);
  expect(parseStatus(row?.status ?? "").resourceStatus).toHaveLength(1);
});

test("an agent that comes back with both types keeps both, and learns what it missed of each", async () => {
  await using hub = await openHub(broker.port);
  const consumer = await hub.consumer();
  const kube = createSimulatedKube();
  const first = await joinAgent(broker.port, consumer, { kube, dataTypes: DATA_TYPES });
  const kept = [await createSingle(hub, consumer), (await hub.create(consumer)).id];
  for (const id of kept) {
    await eventually(() => known(hub, id), (row) => row?.applied_version === 1);
  }
  await first[Symbol.asyncDispose]();
  const missed = [await createSingle(hub, consumer), (await hub.create(consumer)).id];

  await using _agent = await joinAgent(broker.port, consumer, { kube, dataTypes: DATA_TYPES });

  for (const id of missed) {
    await eventually(() => known(hub, id), (row) => row?.applied_version === 1);
  }
  for (const id of kept) {
    await eventually(() => known(hub, id), (row) => row?.observed_version === 1);
  }
});
