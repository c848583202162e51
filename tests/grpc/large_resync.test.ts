/** M35: one agent that starts with nothing, and is sent thousands of documents, holds up nobody else. */

import { expect, test } from "bun:test";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { query } from "../../src/lib/db/query.ts";
import { specEvent, specResync } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, subscribe } from "../harness/grpc.ts";
import { createDatabase } from "../harness/postgres.ts";
import { startServer } from "../harness/programs.ts";

const COUNT = 6_000;
const TIMEOUT_MS = 60_000;

test(
  "M35: while one agent's resync of 6,000 is answered, another's create is delivered",
  async () => {
    await using database = await createDatabase();
    const { db } = database;
    const { name: busy } = await createConsumer(db, {});
    const { name: quiet } = await createConsumer(db, {});
    const spec = JSON.stringify({ manifests: [], text: "x".repeat(3_000) });
    await query(
      db,
      "insert into resources (id, name, source, consumer_name, type, version, observed_version, spec, " +
        "spec_hash, spec_event) select id, id, 'tests', $1, 'Bundle', 1, 1, $2::json, '', " +
        "json_build_object('specversion', '1.0', 'id', id, 'source', 's', 'type', 't') " +
        "from (select gen_random_uuid()::text as id from generate_series(1, $3::int)) made",
      [busy, spec, COUNT],
    );
    await using server = await startServer({ databaseUrl: database.url, isFromSource: true });
    const [agents, sources] = [`127.0.0.1:${server.agents}`, `127.0.0.1:${server.sources}`];
    await using other = await subscribe(agents, { clusterName: quiet });

    // What has room again before all has left comes about only now and then: five times is enough to see it.
    for (let round = 0; round < 5; round++) {
      await using agent = await subscribe(agents, { clusterName: busy });
      await publish(agents, specResync(busy, []));
      await agent.waitFor(() => true);
      const id = crypto.randomUUID();
      await publish(sources, specEvent({ id, consumerName: quiet }));
      await other.waitFor(({ extensions }) => extensions["resourceid"] === id);
      const received = () =>
        new Set(agent.events.flatMap(({ extensions }) => extensions["resourceid"] ?? []));
      const receivedMeanwhile = received().size;
      await eventually(() => received().size, (size) => size === COUNT, { timeoutMs: 20_000 });

      expect(receivedMeanwhile).toBeLessThan(COUNT);
    }
  },
  TIMEOUT_MS,
);
