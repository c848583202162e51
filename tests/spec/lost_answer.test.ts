/** What callers hear when PostgreSQL has committed, and its answer is lost. */

import { expect, test } from "bun:test";
import { connect } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { eventually } from "../harness/eventually.ts";
import { createDatabase } from "../harness/postgres.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { newResource } from "./specs.ts";

test("creates whose answer is lost are unavailable, not refused as if they were another's", async () => {
  await using database = await createDatabase();
  const { address } = database;
  const { name: consumer } = await createConsumer(database.db, {});
  await using proxy = await startTcpProxy(`${address.host}/.s.PGSQL.${address.port}`);
  await using stack = new AsyncDisposableStack();
  const db = stack.adopt(
    connect({ ...address, host: "127.0.0.1", port: proxy.port }, {
      maxConnections: 1,
      applicationName: "test",
    }),
    (db) => db.end({ timeout: 1 }),
  );
  const acceptor = createAcceptor(db);
  const createPair = () => {
    const pair = [newResource(consumer), newResource(consumer)];
    const outcomes = pair.map((one) =>
      acceptor.create(one).then(() => "accepted", ({ code }) => String(code))
    );
    return { ids: pair.map(({ id }) => id), outcomes: Promise.all(outcomes) };
  };
  // From now on the statement is prepared, and sent in one piece.
  const before = await createPair().outcomes;

  proxy.mute("down");
  const lost = createPair();
  const count = "select count(*)::int as total from resources where id = any ($1::text[])";
  await eventually(async () => {
    const [row] = await query<{ total: number }>(database.db, count, [lost.ids]);
    // What is committed is seen before the answer is on its way.
    return row?.total === lost.ids.length && proxy.hasLost();
  });
  proxy.heal();

  expect(before).toEqual(["accepted", "accepted"]);
  expect(await lost.outcomes).toEqual(["unavailable", "unavailable"]);
});
