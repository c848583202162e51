/** More reports at once than a broker keeps: mosquitto's own queue holds a thousand, and drops the rest without a word. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { bundle } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { type Hub, joinAgent, openHub, progress } from "./hub.ts";

const TIMEOUT_MS = 120_000;
const PATIENCE = { timeoutMs: 100_000, intervalMs: 200 };
const COUNT = 5_000;

const [BEFORE_NAME = "", AFTER_NAME = ""] = bundle().split('"name":"a"');

/** Resources as sources have made them, written as fast as PostgreSQL can. */
async function fill(hub: Hub, consumerName: string): Promise<void> {
  await query(
    hub.database.db,
    "insert into resources (id, name, source, consumer_name, type, data_type, version, spec, " +
      "spec_hash, spec_event) select 'r-' || n, 'r-' || n, 'tests', $1, 'Bundle', $2, 1, " +
      `($3 || '"name":"cm-' || n || '"' || $4)::json, '', ` +
      `'{"specversion":"1.0","id":"a","source":"s","type":"t"}' from generate_series(1, $5::int) n`,
    [consumerName, MANIFEST_BUNDLES, BEFORE_NAME, AFTER_NAME, COUNT],
  );
}

test(
  "M31: of 5,000 reports that come at once, through a broker that drops, the last are stored",
  async () => {
    await using broker = await startMosquitto();
    await using hub = await openHub(broker.port, { args: ["--status-check-interval=1s"] });
    const consumer = await hub.consumer();
    await fill(hub, consumer);
    await using _agent = await joinAgent(broker.port, consumer);
    await eventually(() => progress(hub.database), ({ applied }) => applied === COUNT, PATIENCE);

    // As a standby knows them that has taken over: the agent is asked for all of them, and answers at once.
    const lost = "status = null, status_hash = null, status_version = null, applied_version = 0";
    await query(hub.database.db, `update resources set ${lost}`, []);

    const { applied } = await eventually(
      () => progress(hub.database),
      ({ applied }) => applied === COUNT,
      PATIENCE,
    );
    expect(applied).toBe(COUNT);
  },
  TIMEOUT_MS,
);
