/**
 * What it costs when claims lock resources in another order than changes: `bun bench/crossing.ts [--seconds 15]`.
 *
 * Callers change the resources of a consumer at one server, and the publisher of another sends them. First its claims find rows
 * by a bitmap, that is in the order of their places, and then by the index, as servers have it.
 */

import { parseArgs } from "node:util";
import { connect } from "../src/lib/db/connect.ts";
import { query } from "../src/lib/db/query.ts";
import { createAcceptor } from "../src/lib/spec/accept.ts";
import { createSpecPublisher } from "../src/lib/spec/publish.ts";
import { createDatabase, testLogger } from "../tests/harness/postgres.ts";
import { newResource, newUpdate } from "../tests/spec/specs.ts";
import { printFigure } from "./figure.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "15" } } });
const CALLERS = 32;
const RESOURCES = 200;
/** Longer than any statement that waits for no other. */
const SLOW_MS = 400;

const database = await createDatabase();
const open = (maxConnections: number) =>
  connect(database.address, { maxConnections, applicationName: "bench", lockTimeoutMs: 500 });
const here = open(8);
// One connection, since it is planned for as each run says.
const there = open(1);

await query(here, "insert into consumers (id, name) values ('c', 'c')", []);
const ready = new Map([["c", { name: "c", connectedAt: "2000-01-01T00:00:00Z" }]]);
const publisher = createSpecPublisher(there, () => true, testLogger(), {
  sourceId: "maestro",
  ready: () => ready,
  sweepMs: 1_000,
});
const acceptor = createAcceptor(here, undefined, () => publisher.hint(["c"]));
const ids = Array.from({ length: RESOURCES }, () => crypto.randomUUID());
await Promise.all(ids.map((id) => acceptor.create(newResource("c", { id }))));

async function run(name: string, bitmaps: "on" | "off"): Promise<void> {
  await query(there, `set enable_bitmapscan = ${bitmaps}`, []);
  await query(there, "discard plans", []);
  const end = performance.now() + Number(values.seconds) * 1_000;
  let [changes, slow, failed] = [0, 0, 0];
  const publishing = async () => {
    while (performance.now() < end) {
      await publisher.run().catch(() => failed++);
      await Bun.sleep(1);
    }
  };
  const changing = async () => {
    while (performance.now() < end) {
      const id = ids[Math.floor(Math.random() * RESOURCES)] ?? "";
      const startMs = performance.now();
      await acceptor.update(newUpdate(id, 0, crypto.randomUUID()));
      changes++;
      if (performance.now() - startMs > SLOW_MS) slow++;
    }
  };
  await Promise.all([publishing(), ...Array.from({ length: CALLERS }, changing)]);
  const show = (what: string, value: number, unit: string) =>
    printFigure({ bench: "crossing", what: `${what}, ${name}`, value, unit, n: changes });
  show("changes", changes / Number(values.seconds), "1/s");
  show(`changes that took more than ${SLOW_MS} ms`, slow, "");
  show("claims that failed", failed, "");
}

await run("by a bitmap", "on");
await run("by the index", "off");
process.exit(0);
