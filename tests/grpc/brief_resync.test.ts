/** What the gRPC broker makes of an agent that says by a digest what it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { EXT } from "../../src/lib/wire/event.ts";
import { statusDigest, versionDigest } from "../../src/lib/wire/status_hash.ts";
import { openDoors } from "../harness/doors.ts";
import { specEvent, specResync, statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, subscribe } from "../harness/grpc.ts";
import { createDatabase } from "../harness/postgres.ts";

test("an agent is sent what is pending, and asked about statuses or its list only if a digest is wrong", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const [held, waiting] = [crypto.randomUUID(), crypto.randomUUID()];
  await publish(doors.sources, specEvent({ id: held, consumerName }));
  await publish(doors.agents, statusEvent({ id: held, consumerName }));
  const [row] = await query<{ hash: string }>(
    doors.db,
    "select status_hash as hash from resources where id = $1",
    [held],
  );
  const brief = (version: number, hash: string) => {
    const event = specResync(consumerName, []);
    event.extensions[EXT.versionDigest] = versionDigest([{ resourceId: held, version }]);
    event.extensions[EXT.statusDigest] = statusDigest([{ resourceId: held, hash }]);
    return event;
  };
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  const questions = () => agent.events.filter(({ type }) => type.includes(".status."));

  await publish(doors.agents, brief(1, "another"));

  await eventually(() => questions().length, (count) => count === 1);
  expect(questions()[0]?.data).toContain(held);
  expect(questions()[0]?.extensions[EXT.listWanted]).toBeUndefined();

  await publish(doors.agents, brief(2, row?.hash ?? ""));

  await eventually(() => questions().length, (count) => count === 2);
  expect(questions()[1]?.extensions[EXT.listWanted]).toBe("true");

  await publish(doors.agents, brief(1, row?.hash ?? ""));
  await publish(doors.sources, specEvent({ id: waiting, consumerName }));

  const specs = () => agent.events.flatMap(({ extensions }) => extensions[EXT.resourceId] ?? []);
  await eventually(specs, (ids) => ids.length > 0);
  expect(specs()).toEqual([waiting]);
  expect(questions()).toHaveLength(2);
});

test("an agent may report only after its digest was compared, which knows nothing of the report", async () => {
  // Whatever else looks at resources meanwhile waits too, and must not take the last connection.
  await using database = await createDatabase({ maxConnections: 20 });
  await using doors = await openDoors({ database });
  const consumerName = await doors.consumer();
  const release = Promise.withResolvers<void>();
  // A transaction that is left open would hold up the feeds of all other tests.
  using stack = new DisposableStack();
  stack.defer(release.resolve);
  const isHeld = Promise.withResolvers<void>();
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  const holding = doors.db.begin(async (sql) => {
    await sql.unsafe("lock table resources in access exclusive mode");
    isHeld.resolve();
    await release.promise;
  });
  await isHeld.promise;
  const event = specResync(consumerName, []);
  event.extensions[EXT.versionDigest] = versionDigest([]);
  const answers: string[] = [];

  const asking = agent.publish(event).then(() => answers.push("answered"));
  const waiting = "select from pg_locks join pg_stat_activity using (pid) " +
    "where not granted and query like '%version_digest%' and datname = current_database()";
  await eventually(() => query(doors.db, waiting, []), ({ length }) => length === 1);
  // Whatever was answered before this call has come by now.
  await expect(agent.publish({ ...event, type: "nonsense" })).rejects.toBeDefined();

  expect(answers).toEqual([]);
  release.resolve();
  await holding;
  expect(await asking).toBe(1);
});
