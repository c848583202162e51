/** An agent of ours that lost its session at the broker, and says in one word what it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { eventually } from "../harness/eventually.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { testLogger } from "../harness/postgres.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { newUpdate } from "../spec/specs.ts";
import { joinAgent, known, openHub } from "./hub.ts";

test(
  "what an agent missed arrives after a brief resync, or after a list where the ledger is wrong",
  async () => {
    await using broker = await startMosquitto();
    const lines: string[] = [];
    const log = testLogger((line) => void lines.push(line));
    await using hub = await openHub(broker.port, { log });
    const consumer = await hub.consumer();
    await using road = await startTcpProxy(broker.port);
    await using _agent = await joinAgent(road.port, consumer);
    /** The broker forgets everybody; the server is back before the agent, and hears what it asks. */
    const forgetWhile = async (change: () => Promise<unknown>) => {
      road.refuse();
      await broker.kill("SIGKILL");
      await eventually(() => hub.flows.readiness(), (reason) => reason !== undefined);
      await change();
      await broker.start();
      await eventually(() => hub.flows.readiness(), (reason) => reason === undefined);
      road.heal();
    };
    const applied = async (id: string, version: number) =>
      await eventually(() => known(hub, id), (row) => row?.applied_version === version);
    const answered = (words: string) => lines.some((line) => line.includes(words));
    const { id } = await hub.create(consumer);
    await applied(id, 1);

    await forgetWhile(() => hub.flows.acceptor.update(newUpdate(id, 1, "2")));

    await applied(id, 2);
    await eventually(() => answered("answered a brief resync"), Boolean);
    expect(lines.filter((line) => line.includes("asked an agent what it holds"))).toEqual([]);

    let lost = "";
    await forgetWhile(async () => {
      lost = (await hub.create(consumer)).id;
      // The ledger believes that the agent holds it, as if the cluster had been restored from a backup.
      await query(hub.database.db, "update resources set observed_version = version", []);
    });

    await eventually(() => answered("asked an agent what it holds"), Boolean);
    await applied(lost, 1);
  },
  60_000,
);
