/** Reports on later versions than are stored, as after a restore of the database from a backup. */

import { expect, test } from "bun:test";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createReportAcceptor, readReport, type Report } from "../../src/lib/status/accept.ts";
import { statusEvent, type StatusEventParts } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "../spec/specs.ts";

async function stored(db: Db, id: string) {
  const text = "select version, observed_version, status::text, xmin::text as writes " +
    "from resources where id = $1";
  const [row] = await query<{ version: number; observed_version: number }>(db, text, [id]);
  return row;
}

function report(specs: Specs, parts: Omit<StatusEventParts, "consumerName">): Report {
  return readReport(statusEvent({ consumerName: specs.consumer, ...parts }), "maestro");
}

const acceptorOf = (specs: Specs) => createReportAcceptor(specs.db, testLogger());

test("a report on a later version than the stored one overtakes what waits, once for all servers", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await specs.acceptor.update(newUpdate(id, 1, "2"));
  const servers = [acceptorOf(specs), acceptorOf(specs)];
  const held = report(specs, { id, version: 5 });

  const answers = await Promise.all([...servers, ...servers].map((accept) => accept(held)));
  const overtaken = await stored(specs.db, id);
  const settled = await servers[0]?.(report(specs, { id, version: 6 }));
  const late = await servers[1]?.(held);

  expect([...new Set(answers), settled, late]).toEqual(["stale", "stored", "stale"]);
  expect(overtaken?.version).toBe(6);
  expect(await stored(specs.db, id)).toMatchObject({ version: 6, observed_version: 6 });
  const text = "select count(*)::int as count from events where resource_id = $1";
  expect(await query(specs.db, text, [id])).toEqual([{ count: 2 }]);
});

test("a report on a later version of what nobody changed is dropped, and the log says why", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  const lines: string[] = [];
  const accept = createReportAcceptor(specs.db, testLogger((line) => void lines.push(line)));
  await accept(report(specs, { id }));
  const before = await stored(specs.db, id);

  const answers = [
    await accept(report(specs, { id, version: 5 })),
    await accept(report(specs, { id, version: 5 })),
  ];

  expect(answers).toEqual(["stale", "stale"]);
  expect(await stored(specs.db, id)).toEqual(before);
  expect(lines.filter((line) => line.includes("was the database restored?"))).toHaveLength(1);
});

test("neither another consumer's agent nor an earlier life's report overtakes a resource", async () => {
  await using specs = await openSpecs();
  const resource = await specs.create();
  const { id } = resource;
  const accept = acceptorOf(specs);
  const late = report(specs, { id, version: 5 });
  await specs.acceptor.delete({ id });
  await accept(report(specs, { id, isDeleted: true }));
  await specs.acceptor.create(resource);

  const foreign = statusEvent({ id, version: 5, consumerName: "another" });
  const answers = [await accept(late), await accept(readReport(foreign, "maestro"))];

  expect(answers).toEqual(["stale", "stale"]);
  expect((await stored(specs.db, id))?.version).toBe(1);
});
