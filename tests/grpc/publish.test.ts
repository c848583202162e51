/** What sources and agents are answered when they publish. */

import { expect, test } from "bun:test";
import { encodePublishRequest } from "../../src/lib/wire/protobuf.ts";
import { PUBLISH } from "../../src/lib/grpc/paths.ts";
import { query } from "../../src/lib/db/query.ts";
import { type Doors, openDoors } from "../harness/doors.ts";
import { bundle, specEvent, specResync, statusEvent, statusResync } from "../harness/events.ts";
import { callUnary, publish, refusal, refused, subscribe } from "../harness/grpc.ts";

/** grpc status codes. */
const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;

async function countResources({ db }: Doors): Promise<number> {
  const rows = await query<{ count: number }>(db, "select count(*)::int from resources", []);
  return rows[0]?.count ?? -1;
}

test("deleting twice, or what was never there, is fine", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));
  const deletion = specEvent({ id, consumerName, version: 1, action: "delete_request" });

  await publish(doors.sources, deletion);
  await publish(doors.sources, deletion);
  await publish(
    doors.sources,
    specEvent({ id: "nothing", consumerName, version: 1, action: "delete_request" }),
  );

  expect(await countResources(doors)).toBe(1);
});

test("another source's resource is out of reach", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName, source: "one" }));

  const answers = [
    await refusal(
      doors.sources,
      specEvent({
        id,
        consumerName,
        source: "two",
        version: 1,
        action: "update_request",
        data: bundle("2"),
      }),
    ),
    await refusal(
      doors.sources,
      specEvent({ id, consumerName, source: "two", action: "delete_request" }),
    ),
  ];

  for (const { code, details } of answers) {
    expect(code).toBe(UNKNOWN);
    expect(details).toContain('it belongs to source "one", not to "two"');
  }
});

test("a deletion needs no deletion timestamp, and a wrong one is refused", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const deletion = specEvent({ id: "a", consumerName, action: "delete_request" });
  delete deletion.extensions["deletiontimestamp"];
  const wrong = { ...deletion, extensions: { ...deletion.extensions, deletiontimestamp: "soon" } };

  await publish(doors.sources, deletion);

  expect((await refusal(doors.sources, wrong)).details).toStartWith(
    "failed to decode cloudevent: failed to get deletiontimestamp extension: ",
  );
});

test("requests that are cut off, or are no events, are refused with a reason", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const whole = encodePublishRequest(specEvent({ id: "a", consumerName }));
  const notUtf8 = encodePublishRequest(
    specEvent({ id: "a", consumerName, data: bundle("").replace('""', '"é"') }),
  );
  // The second byte of the é is cut out of the text.
  const at = notUtf8.findLastIndex((byte, index) => byte === 0xa9 && notUtf8[index - 1] === 0xc3);
  notUtf8[at] = 0x22;
  const send = (address: string, message: Uint8Array) =>
    refused(callUnary(address, PUBLISH, message));

  for (
    const [door, code] of [[doors.sources, UNKNOWN], [doors.agents, INVALID_ARGUMENT]] as const
  ) {
    for (const message of [whole.subarray(0, -20), new Uint8Array(), new Uint8Array([7, 7, 7])]) {
      const answer = await send(door, message);
      expect(answer.code).toBe(code);
      expect(answer.details).toStartWith("failed to convert protobuf to cloudevent: ");
    }
    expect(await send(door, notUtf8)).toEqual({
      code,
      details: "failed to convert protobuf to cloudevent: its data is not UTF-8",
    });
  }
  expect(await countResources(doors)).toBe(0);
});

test("text that is not UTF-8 is refused, not repaired", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const message = encodePublishRequest(
    specEvent({ id: "a", consumerName, extensions: { metadata: '{"labels":{"a":"~~~"}}' } }),
  );
  message[Buffer.from(message).indexOf("~~~")] = 0xff;

  const { code, details } = await refused(callUnary(doors.sources, PUBLISH, message));

  expect(code).toBe(UNKNOWN);
  expect(details).toStartWith("failed to convert protobuf to cloudevent: ");
  expect(await countResources(doors)).toBe(0);
});

test("text that cannot be kept is refused with a reason, and nothing is stored", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const nul = '{"manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},' +
    '"data":{"a":"\\u0000"}}]}';
  const bad = [
    specEvent({ id: "a", consumerName, data: nul }),
    specEvent({ id: "a\u0000", consumerName }),
    specEvent({ id: "a", consumerName: "a\u0000" }),
    specEvent({ id: "a", consumerName, source: "a\u0000" }),
    specEvent({ id: "a", consumerName, extensions: { metadata: '{"labels":{"a":"\\u0000"}}' } }),
    specEvent({ id: "a", consumerName, extensions: { metadata: '{"labels":{"a":"\\ud800"}}' } }),
    specEvent({ id: "a", consumerName, extensions: { metadata: "[]" } }),
    specEvent({ id: "a\u0000", consumerName, action: "update_request" }),
    specEvent({ id: "a\u0000", consumerName, action: "delete_request" }),
    specEvent({ id: "a/b", consumerName }),
    specEvent({ id: "x".repeat(189), consumerName }),
  ];

  for (const event of bad) {
    const { code, details } = await refusal(doors.sources, event);
    expect(code).toBe(UNKNOWN);
    expect(details).toStartWith("failed to ");
  }
  expect(await countResources(doors)).toBe(0);
});

test("a refusal with very much to say arrives, shortened", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const manifests = Array.from({ length: 2_000 }, (_, index) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "a", labels: { a: `no label ${index}` } },
  }));
  const data = JSON.stringify({ manifests });

  const { code, details } = await refusal(
    doors.sources,
    specEvent({ id: "a", consumerName, data }),
  );

  expect(code).toBe(UNKNOWN);
  expect(details).toStartWith("failed to create resource: maestro-8: the manifest bundle in the");
  expect(details.length).toBeLessThan(8_000);
});

test("a refusal keeps letters beyond ASCII", async () => {
  await using doors = await openDoors();
  const event = specEvent({ id: "a", consumerName: "clüster 100%", data: bundle() });

  expect((await refusal(doors.sources, event)).details).toContain('"clüster 100%"');
});

test("a message above the limit is refused, and the connection lives on", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const large = specEvent({ id: "a", consumerName, data: bundle("x".repeat(5 * 1024 * 1024)) });

  const answers = [await refusal(doors.sources, large), await refusal(doors.agents, large)];

  for (const { code, details } of answers) {
    expect(code).toBe(RESOURCE_EXHAUSTED);
    expect(details).toContain("received message larger than max");
  }
});

test("a compressed request is read, and one that unpacks to too much is refused", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const bomb = specEvent({ id: "b", consumerName, data: bundle("x".repeat(5 * 1024 * 1024)) });

  await publish(doors.sources, specEvent({ id: "a", consumerName }), { gzip: true });
  const answer = await refusal(doors.sources, bomb, { gzip: true });

  expect(await countResources(doors)).toBe(1);
  expect(answer.code).toBe(RESOURCE_EXHAUSTED);
});

test("an unknown method is unimplemented", async () => {
  await using doors = await openDoors();

  for (const address of [doors.sources, doors.agents]) {
    const answer = await refused(
      callUnary(address, "/io.cloudevents.v1.CloudEventService/Unknown", new Uint8Array()),
    );
    expect(answer.code).toBe(UNIMPLEMENTED);
  }
});

test("an agent is answered with OK for reports that no longer matter", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));

  await publish(doors.agents, statusEvent({ id, consumerName, version: 0 }));
  await publish(doors.agents, statusEvent({ id: "nothing", consumerName }));
  await publish(doors.agents, statusEvent({ id: "nothing", consumerName, isDeleted: true }));

  const rows = await query(doors.db, "select 1 from resources where status is not null", []);
  expect(rows).toEqual([]);
});

test("a resync request without a list in it is refused with a reason", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using _agent = await subscribe(doors.agents, { clusterName: consumerName });
  const spec = { ...specResync(consumerName, []), data: '{"resourceVersions":{}}' };
  const status = { ...statusResync("tests", []), data: '{"statusHashes":{}}' };
  const { data: _, ...empty } = statusResync("tests", []);

  const answers = [
    await refusal(doors.agents, spec),
    await refusal(doors.sources, status),
    await refusal(doors.sources, empty),
  ];

  expect(answers.map(({ code }) => code)).toEqual([INVALID_ARGUMENT, UNKNOWN, UNKNOWN]);
  for (const { details } of answers) expect(details).toStartWith("Cannot read the resync request");
});
