/** Events that nobody should send, at the real doors: refused in words, and nothing behind them stumbles. */

import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type CloudEvent as CloudEventMessage,
  type CloudEventAttributeValue,
  CloudEventSchema,
  PublishRequestSchema,
} from "../../src/gen/cloudevent_pb.ts";
import { PUBLISH } from "../../src/lib/grpc/paths.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { encodeEvent, encodePublishRequest } from "../../src/lib/wire/protobuf.ts";
import { type Doors, openDoors } from "../harness/doors.ts";
import {
  nextSequence,
  specEvent,
  specResync,
  statusEvent,
  statusResync,
} from "../harness/events.ts";
import { callUnary, publish, type Refusal, subscribe } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";
import { seeded } from "../wire/refusals.ts";

/**
 * OK, Unknown, InvalidArgument and FailedPrecondition: whatever it is, it is the caller's. And Unavailable, as a slow
 * machine may have callers come again.
 */
const CODES = [0, 2, 3, 9, 14];

type Attribute = CloudEventAttributeValue["attr"];

const ODD: (Attribute | undefined)[] = [
  undefined,
  { case: undefined },
  { case: "ceBoolean", value: true },
  { case: "ceInteger", value: -1 },
  { case: "ceInteger", value: 2_147_483_647 },
  { case: "ceString", value: "" },
  { case: "ceString", value: "a\0b" },
  { case: "ceString", value: "'; drop table resources; --" },
  { case: "ceString", value: "9".repeat(1_000) },
  { case: "ceString", value: "x".repeat(100_000) },
  { case: "ceString", value: "{}" },
  { case: "ceBytes", value: Uint8Array.of(0, 255) },
  { case: "ceUri", value: "%" },
  { case: "ceTimestamp", value: timestamp(0n, 0) },
  { case: "ceTimestamp", value: timestamp(2n ** 62n, -1) },
];

function timestamp(seconds: bigint, nanos: number) {
  return { $typeName: "google.protobuf.Timestamp" as const, seconds, nanos };
}

/** The requests with one attribute after the other replaced by each odd one, and with data that is none. */
function* oddRequests(event: CloudEvent): Generator<Uint8Array> {
  const message = fromBinary(CloudEventSchema, encodeEvent(event));
  const keys = [...Object.keys(message.attributes), "ce-statushash", "ce-metadata", "ce-__proto__"];
  for (const key of new Set(keys)) {
    for (const attr of ODD) {
      const attributes = { ...message.attributes };
      delete attributes[key];
      if (attr !== undefined) {
        Object.defineProperty(attributes, key, {
          value: { $typeName: "io.cloudevents.v1.CloudEventAttributeValue", attr },
          enumerable: true,
        });
      }
      yield request({ ...message, attributes });
    }
  }
  for (
    const data of [
      "null",
      "[]",
      "7",
      '{"manifests":{}}',
      '{"manifests":[{}]}',
      '{"conditions":7}',
      "{",
    ]
  ) {
    yield request({ ...message, data: { case: "binaryData", value: Buffer.from(data) } });
  }
  for (const name of ["id", "source", "type"] as const) {
    for (const text of ["", "\0", "x".repeat(100_000)]) yield request({ ...message, [name]: text });
  }
}

function request(event: CloudEventMessage): Uint8Array {
  return toBinary(PublishRequestSchema, create(PublishRequestSchema, { event }));
}

/** The requests of these events with bytes changed here and there. */
function* changedRequests(events: CloudEvent[], count: number): Generator<Uint8Array> {
  const random = seeded(11);
  for (let round = 0; round < count; round++) {
    const event = events[round % events.length];
    const bytes = event === undefined ? new Uint8Array() : encodePublishRequest(event);
    for (let change = random(4); change >= 0; change--) bytes[random(bytes.length)] = random(256);
    yield bytes;
  }
}

async function knock(
  address: string,
  requests: Iterable<Uint8Array>,
): Promise<Map<number, number>> {
  const codes = new Map<number, number>();
  const waiting = [...requests].map((bytes) =>
    callUnary(address, PUBLISH, bytes).then(() => 0, ({ code }: Refusal) => code)
  );
  for (const code of await Promise.all(waiting)) codes.set(code, (codes.get(code) ?? 0) + 1);
  return codes;
}

async function open(): Promise<{ doors: Doors; consumerName: string; complaints: string[] }> {
  const complaints: string[] = [];
  const log = testLogger((line) => {
    if (line.includes('"level":"error"')) complaints.push(line);
  });
  const doors = await openDoors({ log });
  return { doors, consumerName: await doors.consumer(), complaints };
}

test("whatever a source sends is accepted or refused, and specs go on", async () => {
  const { doors: opened, consumerName, complaints } = await open();
  await using doors = opened;
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  const spec = (action: "create_request" | "update_request" | "delete_request", id: string) =>
    specEvent({ id, consumerName, action });
  const events = [
    spec("create_request", "a"),
    spec("update_request", "a"),
    spec("delete_request", "b"),
    statusResync("tests", [{ resourceId: "a", hash: "h" }]),
  ];

  const codes = await knock(doors.sources, [
    ...events.flatMap((event) => [...oddRequests(event)]),
    ...changedRequests(events, 300),
  ]);
  await publish(doors.sources, specEvent({ id: "last", consumerName }));

  expect([...codes.keys()].filter((code) => !CODES.includes(code))).toEqual([]);
  expect(codes.get(2)).toBeGreaterThan(100);
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === "last");
  expect(complaints).toEqual([]);
}, 120_000);

test("whatever an agent sends is accepted or refused, and reports go on", async () => {
  const { doors: opened, consumerName, complaints } = await open();
  await using doors = opened;
  await using source = await subscribe(doors.sources, { source: "tests" });
  await using _ = await subscribe(doors.agents, { clusterName: consumerName });
  for (const id of ["a", "last"]) await publish(doors.sources, specEvent({ id, consumerName }));
  const events = [
    statusEvent({ id: "a", consumerName }),
    statusEvent({ id: "a", consumerName, isDeleted: true }),
    specResync(consumerName, [{ resourceId: "a", version: 1 }]),
  ];

  const codes = await knock(doors.agents, [
    ...events.flatMap((event) => [...oddRequests(event)]),
    ...changedRequests(events, 300),
  ]);
  await publish(
    doors.agents,
    statusEvent({ id: "last", consumerName, sequence: nextSequence(), message: "fine" }),
  );

  expect([...codes.keys()].filter((code) => !CODES.includes(code))).toEqual([]);
  expect(codes.get(3)).toBeGreaterThan(100);
  await source.waitFor(({ extensions }) => extensions["resourceid"] === "last");
  expect(complaints).toEqual([]);
}, 120_000);
