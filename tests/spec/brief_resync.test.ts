/** What an agent is sent when it says by a digest what it holds. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createBriefResync } from "../../src/lib/spec/brief_resync.ts";
import { createReportAcceptor, readReport } from "../../src/lib/status/accept.ts";
import { type CloudEvent, EXT, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { versionDigest } from "../../src/lib/wire/status_hash.ts";
import { statusEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate, openSpecs, type Specs } from "./specs.ts";

const log = testLogger();

/** Asks as an agent that has just connected and holds these versions. */
async function ask(
  { db, consumer: consumerName }: Specs,
  held: Record<string, number>,
  room = () => Promise.resolve(Boolean("there is always room")),
) {
  const [row] = await query<{ now: string }>(db, "select clock_timestamp() as now", []);
  const sent: CloudEvent[] = [];
  const list = Object.entries(held).map(([resourceId, version]) => ({ resourceId, version }));
  const request = {
    consumerName,
    dataType: MANIFEST_BUNDLES,
    sourceId: "maestro",
    connectedAt: row?.now ?? "",
  };
  const delivery = { push: (event: CloudEvent) => void sent.push(event), room };
  const brief = createBriefResync(db, log);
  const believed = await brief.compare(request, versionDigest(list));
  await brief.answer(delivery, request, believed);
  return { sent, ...believed };
}

async function report({ db, consumer }: Specs, id: string): Promise<void> {
  const event = statusEvent({ id, consumerName: consumer });
  await createReportAcceptor(db, log)(readReport(event, "maestro"));
}

const ids = (events: CloudEvent[]) => events.map(({ extensions }) => extensions[EXT.resourceId]);

test("an agent that holds what is believed is sent what is pending, and nothing else", async () => {
  await using specs = await openSpecs();
  const [current, changed, doomed] = [
    await specs.create(),
    await specs.create(),
    await specs.create(),
  ];
  for (const { id } of [current, changed, doomed]) await report(specs, id);
  await specs.acceptor.update(newUpdate(changed.id, 1, "2"));
  await specs.acceptor.delete({ id: doomed.id });
  const created = await specs.create();
  const { name } = await specs.addConsumer();
  await specs.create({ consumerName: name });

  const answer = await ask(specs, { [current.id]: 1, [changed.id]: 1, [doomed.id]: 1 });

  expect(answer).toMatchObject({ isRight: true });
  expect(ids(answer.sent).toSorted())
    .toEqual([changed.id, doomed.id, created.id].toSorted());
  for (const { type } of answer.sent) expect(type).toEndWith(".spec.resync_response");
  const deletion = answer.sent.find(({ extensions }) => extensions[EXT.resourceId] === doomed.id);
  expect(deletion?.extensions[EXT.deletionTimestamp]).toBeString();
});

test("an agent that holds something else is asked for its list, and nothing is believed of it yet", async () => {
  await using specs = await openSpecs();
  const { id } = await specs.create();
  await report(specs, id);

  const answer = await ask(specs, { [id]: 2 });

  expect(answer).toMatchObject({ isRight: false });
  expect(answer.sent).toHaveLength(1);
  expect(answer.sent[0]?.extensions[EXT.listWanted]).toBe("true");
  const text = "select observed_version as version from resources where id = $1";
  const [row] = await query<{ version: number }>(specs.db, text, [id]);
  expect(row?.version).toBe(1);
});

test("an agent that holds nothing agrees with a server that has nothing for it", async () => {
  await using specs = await openSpecs();

  expect(await ask(specs, {})).toMatchObject({ isRight: true, sent: [] });
  expect(await ask(specs, { [crypto.randomUUID()]: 1 })).toMatchObject({ isRight: false });
});

test("more than fits a portion is sent as well, each resource once, while there is room", async () => {
  await using specs = await openSpecs();
  const created = [];
  for (let n = 0; n < 120; n++) created.push((await specs.create()).id);

  const { sent } = await ask(specs, {});

  expect(ids(sent).toSorted()).toEqual(created.toSorted());
  const isGone = false;
  const { sent: first } = await ask(specs, {}, () => Promise.resolve(isGone));
  expect(first.length).toBeGreaterThan(0);
  expect(first.length).toBeLessThan(created.length);
});

test("agents that come back together are each sent what is theirs, all of it, whoever they come with", async () => {
  await using specs = await openSpecs();
  const brief = createBriefResync(specs.db, log);
  const consumers = await Promise.all(Array.from({ length: 70 }, () => specs.addConsumer()));
  const ofConsumer = new Map<string, string[]>();
  // With so many in a statement each gets three of a lane in one turn.
  await Promise.all(consumers.map(async ({ name }, n) => {
    const created = Array.from({ length: n % 9 }, () => specs.create({ consumerName: name }));
    const made = (await Promise.all(created)).map(({ id }) => id);
    await Promise.all(
      made.slice(0, n % 5).map((id) => specs.acceptor.delete({ id })),
    );
    ofConsumer.set(name, made.toSorted());
  }));
  const [row] = await query<{ now: string }>(specs.db, "select clock_timestamp() as now", []);
  const sent = new Map<string, string[]>();

  await Promise.all(consumers.map(async ({ name: consumerName }) => {
    const received: string[] = [];
    sent.set(consumerName, received);
    const push = (event: CloudEvent) => {
      expect(event.extensions[EXT.clusterName]).toBe(consumerName);
      received.push(String(event.extensions[EXT.resourceId]));
    };
    const room = () => Promise.resolve(Boolean("there is always room"));
    const request = {
      consumerName,
      dataType: MANIFEST_BUNDLES,
      sourceId: "maestro",
      connectedAt: row?.now ?? "",
    };
    const believed = await brief.compare(request, versionDigest([]));
    await brief.answer({ push, room }, request, believed);
  }));

  for (const { name } of consumers) {
    expect(sent.get(name)?.toSorted()).toEqual(ofConsumer.get(name));
  }
});
