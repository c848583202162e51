/** The database's clock was ahead and has been set right, or another server's has taken its place. */

import { expect, test } from "bun:test";
import { clockNow } from "../../src/gen/queries.ts";
import { query } from "../../src/lib/db/query.ts";
import { createBriefResync } from "../../src/lib/spec/brief_resync.ts";
import { createSpecPublisher, type ReadyConsumer } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { answerSpecResync, noteSpecResync } from "../../src/lib/spec/resync.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { versionDigest } from "../../src/lib/wire/status_hash.ts";
import { testLogger } from "../harness/postgres.ts";
import { openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

/** Sends a resource to a connection that is lost then, an hour ahead of the clock as it is now. */
async function sentAhead({ db, consumer, create }: Specs): Promise<string> {
  const { id } = await create();
  const ready = new Map([[consumer, { name: consumer, connectedAt: "2000-01-01" }]]);
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  await createSpecPublisher(db, () => Boolean("it is sent"), log, options).run();
  const text = "update resources set sent_at = sent_at + interval '1 h', " +
    "next_send_at = next_send_at + interval '1 h'";
  await query(db, text, []);
  return id;
}

type Ask = (specs: Specs, agent: ReadyConsumer, sent: CloudEvent[]) => Promise<unknown>;

const requestOf = ({ name: consumerName, connectedAt }: ReadyConsumer) => ({
  ...{ consumerName, connectedAt, dataType: MANIFEST_BUNDLES, sourceId: "maestro" },
});
const deliveryTo = (sent: CloudEvent[]) => ({
  push: (event: CloudEvent) => void sent.push(event),
  room: () => Promise.resolve(Boolean("there is always room")),
});

const ways: [string, Ask][] = [
  ["has connected anew", async ({ db }, agent, sent) => {
    const publish = (_: string, event: CloudEvent) => sent.push(event) > 0;
    const ready = new Map([[agent.name, agent]]);
    const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
    await createSpecRedelivery(db, publish, log, options).run();
  }],
  ["says by a digest that it holds nothing", async ({ db }, agent, sent) => {
    const brief = createBriefResync(db, log);
    const request = requestOf(agent);
    const believed = await brief.compare(request, versionDigest([]));
    await brief.answer(deliveryTo(sent), request, believed);
  }],
  ["lists that it holds nothing", async ({ db }, agent, sent) => {
    const request = { ...requestOf(agent), held: [], range: { after: "" } };
    await answerSpecResync(db, deliveryTo(sent), log, await noteSpecResync(db, request));
  }],
];

test.each(ways)(
  "what was lost by a clock that was ahead is sent when its agent %s",
  async (_, ask) => {
    await using specs = await openSpecs();
    const id = await sentAhead(specs);
    const [row] = await clockNow(specs.db);
    const agent = { name: specs.consumer, connectedAt: row?.now ?? "" };
    const sent: CloudEvent[] = [];

    await ask(specs, agent, sent);
    await ask(specs, agent, sent);

    expect(sent.map(({ extensions }) => extensions["resourceid"])).toEqual([id]);
  },
);
