/** A server sends by itself what it accepts for agents that it reaches, without the way through the outbox. */

import { expect, test } from "bun:test";
import { clockNow } from "../../src/gen/queries.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { type Acceptor, createAcceptor } from "../../src/lib/spec/accept.ts";
import { createSpecPublisher } from "../../src/lib/spec/publish.ts";
import { createSpecRedelivery } from "../../src/lib/spec/redeliver.ts";
import { createSender } from "../../src/lib/spec/send.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { bundle, specEvent } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";
import { newResource, newUpdate, openSpecs, type Specs } from "./specs.ts";

const LONG_AGO = "2000-01-01T00:00:00Z";

interface Direct {
  acceptor: Acceptor;
  sent: CloudEvent[];
  /** Those that can be sent to. */
  ready: Set<string>;
  lines: string[];
  /** After each commit those for whom something is left to the publishers. */
  left: string[][];
}

/** An acceptor that reaches the consumer. */
function reaching({ db, consumer }: Specs, publish?: () => boolean): Direct {
  const sent: CloudEvent[] = [];
  const ready = new Set([consumer]);
  const lines: string[] = [];
  const send = publish ?? ((_: string, event: CloudEvent) => sent.push(event) > 0);
  const log = testLogger((line) => lines.push(line));
  const sender = createSender((name) => ready.has(name), send, log, "maestro");
  const left: string[][] = [];
  const acceptor = createAcceptor(db, sender, (names) => void left.push(names));
  return { acceptor, sent, ready, lines, left };
}

/** What the publisher finds to send. */
async function published({ db, consumer }: Specs): Promise<CloudEvent[]> {
  const sent: CloudEvent[] = [];
  const ready = new Map([[consumer, { name: consumer, connectedAt: LONG_AGO }]]);
  const keep = (_: string, event: CloudEvent) => sent.push(event) > 0;
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  await createSpecPublisher(db, keep, testLogger(), options).run();
  return sent;
}

async function redelivered({ db, consumer }: Specs, connectedAt: string): Promise<number> {
  let count = 0;
  const ready = new Map([[consumer, { name: consumer, connectedAt }]]);
  const options = { sourceId: "maestro", ready: () => ready, sweepMs: 5_000 };
  await createSpecRedelivery(db, () => ++count > 0, testLogger(), options).run();
  return count;
}

/** How it stands in the ledger; `pause` in seconds. */
async function ledger(db: Db, id: string) {
  const [row] = await query(
    db,
    "select sent_version, attempts, " +
      "extract(epoch from next_send_at - sent_at) between 14 and 26 as is_paused, " +
      "(select count(*)::int from events where events.resource_id = resources.id) as waiting from resources where id = $1",
    [id],
  );
  return row;
}

/** But for what is made anew at each sending. */
function comparable(event: CloudEvent | undefined) {
  const { resourceid: _, readat: __, metadata: ___, ...extensions } = event?.extensions ?? {};
  return { ...event, id: "", time: "", extensions };
}

test("a create and an update leave as the publisher would send them, and are noted as sent", async () => {
  await using specs = await openSpecs();
  const { acceptor, sent } = reaching(specs);
  const metadata = '{"name":"x","labels":{"a":"b"}}';
  const direct = newResource(specs.consumer, { metadata });
  const viaOutbox = newResource(specs.consumer, { metadata });
  const update = (id: string) => ({
    ...newUpdate(id, 1, "new"),
    metadata,
    event: specEvent({ id, consumerName: specs.consumer, action: "update_request" }),
  });

  await acceptor.create(direct);
  const afterCreate = await ledger(specs.db, direct.id);
  await specs.acceptor.create(viaOutbox);
  const [created] = await published(specs);
  const version = await acceptor.update(update(direct.id));
  const afterUpdate = await ledger(specs.db, direct.id);
  await specs.acceptor.update(update(viaOutbox.id));
  const [updated] = await published(specs);

  expect(version).toBe(2);
  expect(sent.map(({ extensions }) => extensions["resourceid"])).toEqual([direct.id, direct.id]);
  expect(sent.map(comparable)).toEqual([created, updated].map(comparable));
  expect(sent.map(({ type }) => type.split(".").at(-1))).toEqual([
    "create_request",
    "update_request",
  ]);
  const asSent = { attempts: 1, is_paused: true, waiting: 0 };
  expect([afterCreate, afterUpdate]).toEqual([
    { sent_version: 1, ...asSent },
    { sent_version: 2, ...asSent },
  ]);
});

test("what cannot be sent now waits in the outbox, whatever the event says of its consumer", async () => {
  await using specs = await openSpecs();
  const other = (await specs.addConsumer()).name;
  const { acceptor, sent } = reaching(specs);
  const resource = newResource(other);

  await acceptor.create(resource);
  const event = specEvent({
    id: resource.id,
    consumerName: specs.consumer,
    action: "update_request",
  });
  await acceptor.update({ ...newUpdate(resource.id, 1, "new"), event });

  expect(sent).toEqual([]);
  expect(await ledger(specs.db, resource.id)).toMatchObject({ sent_version: 0, waiting: 1 });
});

test("what is refused or changes nothing is not sent", async () => {
  await using specs = await openSpecs();
  const { acceptor, sent } = reaching(specs);
  const resource = newResource(specs.consumer);
  await acceptor.create(resource);
  const event = specEvent({
    id: resource.id,
    consumerName: specs.consumer,
    action: "update_request",
  });
  const change = { ...newUpdate(resource.id, 1, "new"), event };

  const outcomes = await Promise.allSettled([
    acceptor.create({ ...resource, spec: bundle("other") }),
    acceptor.create(newResource("nobody")),
    acceptor.update({ ...change, version: 7 }),
  ]);
  await acceptor.update({ ...change, spec: resource.spec });

  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(sent).toHaveLength(1);
});

test("I2: what was accepted when its server died before sending leaves on the next connection", async () => {
  await using specs = await openSpecs();
  const { acceptor } = reaching(specs, () => false);

  await acceptor.create(newResource(specs.consumer));
  const onSameConnection = await redelivered(specs, LONG_AGO);
  const [clock] = await clockNow(specs.db);
  const onTheNext = await redelivered(specs, clock?.now ?? "");

  expect({ onSameConnection, onTheNext }).toEqual({ onSameConnection: 0, onTheNext: 1 });
});

test("I1: what is stored is answered as stored, though sending it fails", async () => {
  await using specs = await openSpecs();
  const { acceptor, lines } = reaching(specs, () => {
    throw new Error("no road");
  });

  await acceptor.create(newResource(specs.consumer));

  expect(lines.join()).toContain("cannot send what was accepted");
});

test("a server leaves to publishers, its own and others, only what it does not send itself", async () => {
  await using specs = await openSpecs();
  const { acceptor, ready, left } = reaching(specs);
  const { id } = await specs.create();

  await acceptor.create(newResource(specs.consumer));
  const event = specEvent({ id, consumerName: specs.consumer, action: "update_request" });
  await acceptor.update({ ...newUpdate(id, 1, "2"), event });
  ready.clear();
  await acceptor.create(newResource(specs.consumer));
  await acceptor.update({ ...newUpdate(id, 2, "3"), event });
  await acceptor.delete({ id });
  // Nothing is stored by it, so nobody is woken.
  await acceptor.delete({ id });

  expect(left).toEqual([[], [], ...Array.from({ length: 3 }, () => [specs.consumer])]);
});
