/** Which statements wait for the disk. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newResource, newUpdate, openSpecs } from "./specs.ts";

const log = testLogger();

test("a mark of a send need not reach the disk, but a change and a report do", async () => {
  await using specs = await openSpecs();
  const durability = async (run: (db: Db) => Promise<unknown>) =>
    await specs.db.begin(async (tx) => {
      const db = tx as unknown as Db;
      await query(db, "set local synchronous_commit = on", []);
      await run(db);
      const text = "select current_setting('synchronous_commit') as found";
      const [row] = await query<{ found: string }>(db, text, []);
      return row?.found;
    });
  const resource = newResource(specs.consumer);
  const { id, consumerName } = resource;
  const report = readReport(statusEvent({ id, consumerName }), "maestro");
  const ready = new Map([[consumerName, { name: consumerName, connectedAt: "2000-01-01" }]]);
  let sent = 0;
  const publish = () => ++sent > 0;
  const road = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };

  const found = {
    create: await durability((db) => createAcceptor(db).create(resource)),
    claim: await durability((db) => createSpecPublisher(db, publish, log, road).run()),
    again: await durability(async (db) => {
      await query(db, "update resources set next_send_at = now() where id = $1", [id]);
      await createSpecRedelivery(db, publish, log, road).run();
    }),
    report: await durability((db) => createReportAcceptor(db, log)(report)),
    update: await durability((db) => createAcceptor(db).update(newUpdate(id, 1, "2"))),
    delete: await durability((db) => createAcceptor(db).delete({ id })),
  };

  expect(sent).toBe(2);
  expect(found).toEqual({
    ...{ create: "on", claim: "off", again: "off" },
    ...{ report: "on", update: "on", delete: "on" },
  });
});
