/** Deletions over REST: what they wait for, and the word that ends the waiting. */

import { expect, test } from "bun:test";
import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { query } from "../../src/lib/db/query.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { answerSpecResync, noteSpecResync } from "../../src/lib/spec/resync.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { createFeed } from "../../src/lib/status/feed.ts";
import { toFeedEvent } from "../../src/lib/status/status_teller.ts";
import { purgeTombstones } from "../../src/lib/status/upkeep.ts";
import { type CloudEvent, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { specEvent, statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { openRest, type RestHarness, V1 } from "./harness.ts";

const HAS_ROOM = true;

const PATH = `${V1}/resources`;
const log = testLogger();

interface Made {
  id: string;
  consumer: string;
}

async function create(rest: RestHarness, consumer?: string): Promise<Made> {
  const name = consumer ?? await rest.consumer();
  const { body } = await rest.call("POST", PATH, { consumer_name: name, manifest: NGINX });
  return { id: body.id, consumer: name };
}

/** As if the agent had last been heard of so long ago. */
const see = (rest: RestHarness, consumer: string, secondsAgo: number) =>
  query(
    rest.database.db,
    "update consumers set last_seen_at = now() - make_interval(secs => $2::int) where name = $1",
    [consumer, secondsAgo],
  );

const abandon = (rest: RestHarness, id: string) =>
  rest.call("DELETE", `${PATH}/${id}?abandon=true`);

/** Sends what waits to one consumer, as if it were connected; returns what was sent. */
async function redeliver(rest: RestHarness, consumer: string): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const ready = new Map([[consumer, { name: consumer, connectedAt: "1970-01-01T00:00:00Z" }]]);
  const publish = (_: string, event: CloudEvent) => sent.push(event) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 3_600_000 };
  const redelivery = createSpecRedelivery(rest.database.db, publish, log, options);
  while (await redelivery.run());
  return sent;
}

async function tombstone(rest: RestHarness, id: string) {
  const text = "select abandoned_by, abandoned_at is not null as has_time, is_confirmed " +
    "from tombstones where id = $1";
  const rows = await query<{ abandoned_by: string; has_time: boolean; is_confirmed: boolean }>(
    rest.database.db,
    text,
    [id],
  );
  return rows[0];
}

/** What the agent of a consumer is told when it says that it holds these. */
async function resync(rest: RestHarness, consumer: string, ids: string[]): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const { db } = rest.database;
  const noted = await noteSpecResync(db, {
    consumerName: consumer,
    dataType: MANIFEST_BUNDLES,
    held: ids.map((resourceId) => ({ resourceId, version: 1 })),
    range: { after: "" },
    sourceId: "maestro",
    connectedAt: "1970-01-01T00:00:00Z",
  });
  const push = (event: CloudEvent) => void sent.push(event);
  await answerSpecResync(db, { push, room: () => Promise.resolve(HAS_ROOM) }, log, noted);
  return sent;
}

test("M9: what is being deleted says which agent it waits for, and since when that is gone", async () => {
  await using rest = await openRest();
  const { id, consumer } = await create(rest);
  await see(rest, consumer, 3 * 3600 + 60);

  await rest.call("DELETE", `${PATH}/${id}`);

  const { body } = await rest.call("GET", `${PATH}/${id}`);
  expect(body.delivery).toMatchObject({
    state: "deleting",
    message: `deleting, waiting for the agent of ${consumer}, last seen 3 h ago`,
  });
});

test("M9: a deletion for an agent that says nothing is sent ever more rarely, and never given up", async () => {
  await using rest = await openRest();
  const { id, consumer } = await create(rest);
  await rest.call("DELETE", `${PATH}/${id}`);
  const { db } = rest.database;

  const pauses: number[] = [];
  for (let attempt = 0; attempt < 14; attempt++) {
    await query(db, "update resources set next_send_at = now()", []);
    expect(await redeliver(rest, consumer)).toHaveLength(1);
    const text = "select extract(epoch from next_send_at - now())::int as pause from resources";
    const [row] = await query<{ pause: number }>(db, text, []);
    pauses.push(row?.pause ?? 0);
    // Before its time nothing is sent.
    expect(await redeliver(rest, consumer)).toEqual([]);
  }

  expect(pauses[0]).toBeLessThan(30);
  expect(pauses[6]).toBeGreaterThan(600);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(3600 * 1.25);
  expect((await rest.call("GET", `${PATH}/${id}`)).body.delivery.state).toBe("deleting");
});

test("M9: a dead cluster's resource is abandoned by somebody, who stays on record", async () => {
  const authenticate = createAuthenticator({ adminToken: "secret", log });
  await using rest = await openRest({ authenticate });
  const headers = { Authorization: "Bearer secret" };
  const { body: consumer } = await rest.call("POST", `${V1}/consumers`, {}, headers);
  const input = { consumer_name: consumer.name, manifest: NGINX };
  const { body } = await rest.call("POST", PATH, input, headers);

  const { status } = await rest.call("DELETE", `${PATH}/${body.id}?abandon=true`, "", headers);

  expect(status).toBe(204);
  expect((await rest.call("GET", `${PATH}/${body.id}`, undefined, headers)).status).toBe(404);
  expect(await tombstone(rest, body.id)).toEqual({
    abandoned_by: "admin",
    has_time: true,
    is_confirmed: false,
  });
});

test("its source is told that an abandoned resource is gone, and by whose word", async () => {
  await using rest = await openRest();
  const told: CloudEvent[] = [];
  const feed = createFeed(rest.database.db);
  feed.attach({
    sources: () => ["maestro"],
    take: (changes) => void told.push(...changes.flatMap((change) => toFeedEvent(change) ?? [])),
    end: (error) => expect.unreachable(error.message),
  });
  const { id, consumer } = await create(rest);
  await feed.open();

  await abandon(rest, id);
  while (await feed.read());

  expect(told).toHaveLength(1);
  expect(told[0]?.extensions).toMatchObject({ resourceid: id, resourceversion: 1 });
  expect(JSON.parse(told[0]?.data ?? "").conditions).toMatchObject([{
    type: "Deleted",
    status: "True",
    reason: "Abandoned",
    message: `Abandoned by somebody without a token: the agent of ${consumer} has not confirmed ` +
      "the deletion",
  }]);
});

test("a cluster that comes back after all removes what was abandoned, which is noted", async () => {
  await using rest = await openRest();
  const { id, consumer } = await create(rest);
  await abandon(rest, id);

  const sent = await resync(rest, consumer, [id]);
  const gone = statusEvent({ id, consumerName: consumer, isDeleted: true });
  await createReportAcceptor(rest.database.db, log)(readReport(gone, "maestro"));

  expect(sent.map(({ extensions }) => extensions["deletiontimestamp"])).toEqual([
    expect.any(String),
  ]);
  expect(await tombstone(rest, id)).toMatchObject({ is_confirmed: true, has_time: true });
});

test("the tombstone of what was abandoned is kept until its agent or its consumer is gone for good", async () => {
  await using rest = await openRest();
  const { db } = rest.database;
  const { id, consumer } = await create(rest);
  const other = await create(rest);
  await abandon(rest, id);
  await abandon(rest, other.id);
  await query(db, "update tombstones set confirmed_at = now() - interval '1 year'", []);
  await query(db, "delete from consumers where name = $1", [other.consumer]);

  await purgeTombstones(db, 3600);

  expect([await tombstone(rest, id), await tombstone(rest, other.id)]).toEqual([
    expect.objectContaining({ is_confirmed: false }),
    undefined,
  ]);
  expect(await resync(rest, consumer, [id])).toHaveLength(1);
});

test("an abandoned id starts again above its version, and is no longer deleted on its cluster", async () => {
  await using rest = await openRest();
  const consumer = await rest.consumer();
  const id = crypto.randomUUID();
  const publish = async () => {
    const headers = { "Content-Type": "application/cloudevents+json" };
    const event = encodeStructured(specEvent({ id, consumerName: consumer }));
    return (await rest.call("POST", `${V1}/cloudevents`, event, headers)).status;
  };
  await publish();
  const bundle = `${V1}/resource-bundles/${id}`;
  await rest.call("DELETE", `${bundle}?abandon=true`);

  const accepted = await publish();

  const sent = await resync(rest, consumer, [id]);
  expect(accepted).toBe(204);
  expect((await rest.call("GET", bundle)).body.version).toBe(2);
  expect(sent.map(({ extensions }) => extensions["resourceversion"])).toEqual([2]);
  expect(sent.map(({ extensions }) => extensions["deletiontimestamp"])).toEqual([undefined]);
});

test("I5: a resource whose agent is connected and was not told is not abandoned", async () => {
  await using rest = await openRest();
  const { id, consumer } = await create(rest);
  await see(rest, consumer, 10);

  const unasked = await abandon(rest, id);
  await rest.call("DELETE", `${PATH}/${id}`);
  const untold = await abandon(rest, id);
  await redeliver(rest, consumer);
  const told = await abandon(rest, id);

  expect(unasked.body).toMatchObject({
    code: "maestro-6",
    reason: `Cannot abandon resource "${id}": the agent of ${consumer} is connected and was not ` +
      "told to delete it; delete it first, and abandon it only if that never ends",
  });
  expect([unasked.status, untold.status, told.status]).toEqual([409, 409, 204]);
});

test("abandoning twice is fine, and what never was is not found", async () => {
  await using rest = await openRest();
  const { id } = await create(rest);

  const answers = [await abandon(rest, id), await abandon(rest, id), await abandon(rest, "no")];

  expect(answers.map(({ status }) => status)).toEqual([204, 204, 404]);
});

test("any other word than true or false for abandon is refused, and deletes nothing", async () => {
  await using rest = await openRest();
  const { id } = await create(rest);

  const { status, body } = await rest.call("DELETE", `${PATH}/${id}?abandon=yes`);

  expect([status, body.reason]).toEqual([
    400,
    'the parameter "abandon" must be true or false, not "yes"',
  ]);
  expect((await rest.call("GET", `${PATH}/${id}`)).body).not.toHaveProperty("deleted_at");
});
