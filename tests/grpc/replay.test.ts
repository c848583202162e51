/** The conversation that was captured at the Go server's gRPC doors, held again at ours. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import { parseJson } from "../../src/lib/json.ts";
import { type CloudEvent, EXT, HEARTBEAT_TYPE } from "../../src/lib/wire/event.ts";
import { decodeEvent } from "../../src/lib/wire/protobuf.ts";
import { openDoors } from "../harness/doors.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, refused, subscribe, type Subscription } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";
import { capturedFiles, type CapturedRecord, protobufOf } from "../harness/golden.ts";

const STEPS = capturedFiles().filter(({ name }) => name.startsWith("grpc-"));
const SOURCE = "vecsourceg";
const CONSUMER = "vecg-000";
const CODES: Record<string, number> = { Unknown: 2 };

/** What we do otherwise, and why (docs/decisions/0013). Each is looked at, so that none can go unnoticed. */
const OTHERWISE: Record<string, string> = {
  "grpc-04-create-unknown-consumer-error": "an unknown consumer is the caller's mistake",
  "grpc-13-agent-resync-unknown-resource": "what has no tombstone is not deleted",
  "grpc-21-agent-resync-while-deleting": "what is on its way on this connection is not sent again",
};

function eventOf(record: CapturedRecord): CloudEvent {
  return decodeEvent(protobufOf(record) ?? new Uint8Array());
}

/** What both servers must say alike: all but what each makes up anew. */
function essence(event: CloudEvent): JsonObject {
  const { id, time, extensions, data, ...core } = event;
  const { metadata, deletiontimestamp, readat: _, ...others } = extensions;
  const isDeletion = deletiontimestamp !== undefined;
  return {
    ...core,
    // A deletion has an id and a time of its own.
    ...(isDeletion && core.source === "maestro" ? {} : { id, time }),
    isDeletion,
    extensions: others,
    metadata: metadata === undefined ? undefined : withoutTimes(String(metadata)),
    data: data === undefined ? undefined : parseJson(data),
  };
}

/** When a row was created or deleted is another time here; and ours always says when it was created. */
function withoutTimes(text: string): JsonObject {
  const { creationTimestamp: _, deletionTimestamp: __, ...metadata } = parseJson(
    text,
  ) as JsonObject;
  return metadata;
}

/** Without the question for a status that was reported just before the agent said that it lacks its resource. */
function told({ events }: Subscription): CloudEvent[] {
  return events.filter(({ type }) => !type.endsWith(".status.resync_request"));
}

/** The records in the order of cause and effect: an answer may have been seen before the call had returned. */
function inOrder(records: CapturedRecord[]): CapturedRecord[] {
  const first = records.findIndex(({ kind }) => kind === "publish");
  return first <= 0
    ? records
    : [...records.slice(first, first + 1), ...records.slice(0, first), ...records.slice(first + 1)];
}

test("our doors answer what was sent to the Go server as it did, property by property", async () => {
  let resyncs = 0;
  const count = (line: string) => void (line.includes('"answered a spec resync"') && resyncs++);
  await using doors = await openDoors({ log: testLogger(count) });
  await doors.consumer(CONSUMER);
  await using source = await subscribe(doors.sources, { source: SOURCE });
  await using agent = await subscribe(doors.agents, { clusterName: CONSUMER });
  const seen = new Map<Subscription, number>([[source, 0], [agent, 0]]);

  const say = async (name: string, record: CapturedRecord) => {
    const event = eventOf(record);
    const address = record.channel === "grpc-source-publish" ? doors.sources : doors.agents;
    const resyncsBefore = resyncs;

    if (record.result_code === "OK") await publish(address, event);
    else {
      const { code, details } = await refused(publish(address, event));
      expect(code).toBe(CODES[record.result_code ?? ""] ?? -1);
      if (!(name in OTHERWISE)) expect(details).toBe(record.result_message ?? "");
      else expect(details).toContain('foreign key constraint "fk_resources_consumers"');
    }
    // Answered beside the call: whatever it sends has been handed over when it says so.
    if (!event.type.endsWith(".spec.resync_request")) return;
    await eventually(() => resyncs > resyncsBefore);
  };
  const hear = async (name: string, record: CapturedRecord) => {
    const wanted = eventOf(record);
    if (wanted.type === HEARTBEAT_TYPE || name in OTHERWISE) return;
    const stream = record.channel === "grpc-source-subscribe" ? source : agent;
    const at = seen.get(stream) ?? 0;
    seen.set(stream, at + 1);

    const got = await eventually(() => told(stream)[at]) as CloudEvent;

    expect({ step: name, ...essence(got) }).toEqual({ step: name, ...essence(wanted) });
    // It is from our clock, but it must be there.
    expect(EXT.metadata in got.extensions).toBe(EXT.metadata in wanted.extensions);
  };
  for (const { name, records } of STEPS) {
    for (const record of inOrder(records)) {
      if (record.kind === "publish") await say(name, record);
      if (record.kind === "event") await hear(name, record);
    }
  }

  // Nothing else was sent in between, or after the last answer.
  expect([...seen].map(([stream, sent]) => told(stream).length - sent)).toEqual([0, 0]);
  expect([...seen.values()]).toEqual([7, 6]);
});
