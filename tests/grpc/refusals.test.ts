/** Each refusal of both doors: its code, and the words that clients look for. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { openDoors } from "../harness/doors.ts";
import { bundle, specEvent, specResync, statusEvent } from "../harness/events.ts";
import { publish, refusal } from "../harness/grpc.ts";

/** grpc status codes. */
const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;
const FAILED_PRECONDITION = 9;

interface Row {
  /** Who publishes what. */
  to: "sources" | "agents";
  event: Parameters<typeof specEvent>[0] | CloudEvent;
  code: number;
  /** Exact, or its beginning if it ends with an ellipsis. */
  details: string;
}

const CREATED = { id: "created", consumerName: "c1" };
const DELETING = { id: "deleting", consumerName: "c1" };
const update = (parts: object) => ({ ...CREATED, action: "update_request" as const, ...parts });
const without = (name: string): CloudEvent => {
  const event = specEvent({ id: "new", consumerName: "c1" });
  delete event.extensions[name];
  return event;
};
const report = statusEvent({ id: "created", consumerName: "c1" });
const reportWith = (extensions: CloudEvent["extensions"]): CloudEvent => ({
  ...report,
  extensions: { ...report.extensions, ...extensions },
});

/** The table of wire.md §3.6, and what agents are answered. */
const REFUSALS: Row[] = [
  {
    to: "sources",
    event: CREATED,
    code: UNKNOWN,
    details: "failed to create resource: maestro-6: This Resource already exists",
  },
  {
    to: "sources",
    event: { id: "new", consumerName: "c1", data: '{"manifests":[{"kind":"A","metadata":{}}]}' },
    code: UNKNOWN,
    details: "failed to create resource: maestro-8: the manifest bundle in the resource is " +
      "invalid, [apiVersion: Required value: field not set, metadata.name: Required value: " +
      "field not set]",
  },
  {
    to: "sources",
    event: { id: "new", consumerName: "c1", extensions: { metadata: '{"a":{"b":1e131071}}' } },
    code: UNKNOWN,
    details: "failed to decode cloudevent: metadata.a.b: Invalid value: 1e131071: " +
      "must have at most 100 digits, and an exponent of two",
  },
  {
    to: "sources",
    event: { id: "new", consumerName: "nobody" },
    code: UNKNOWN,
    details: "failed to create resource: maestro-…",
  },
  {
    to: "sources",
    event: update({ id: "missing", version: 1 }),
    code: UNKNOWN,
    details: "failed to get resource: maestro-7: Resource with id='missing' not found",
  },
  {
    to: "sources",
    event: update({ version: 1, data: bundle("3") }),
    code: UNKNOWN,
    details: "failed to update resource: maestro-6: the resource version is not the latest, " +
      "the latest version: 2",
  },
  {
    to: "sources",
    event: { ...DELETING, action: "update_request", version: 1, data: bundle("3") },
    code: UNKNOWN,
    details: "failed to update resource: maestro-6: the resource is under deletion, id: deleting",
  },
  {
    to: "sources",
    event: { ...CREATED, action: "foo_request" },
    code: UNKNOWN,
    details: "unsupported action foo_request",
  },
  {
    to: "sources",
    event: { ...specEvent(CREATED), type: "a.b" },
    code: UNKNOWN,
    details: "failed to parse cloud event type…",
  },
  ...["resourceid", "resourceversion", "clustername"].map((name): Row => ({
    to: "sources",
    event: without(name),
    code: UNKNOWN,
    details: `failed to decode cloudevent: failed to get ${name} extension: it is missing`,
  })),
  {
    to: "sources",
    event: report,
    code: UNKNOWN,
    details: "unsupported action update_request",
  },
  {
    to: "agents",
    event: { ...report, type: "a.b.c.other.update_request" },
    code: INVALID_ARGUMENT,
    details: "failed to parse cloud event type…",
  },
  {
    to: "agents",
    event: CREATED,
    code: INVALID_ARGUMENT,
    details: "unsupported event type …",
  },
  {
    to: "agents",
    event: { ...report, type: "coordination.k8s.io.v1.leases.status.update_request" },
    code: INVALID_ARGUMENT,
    details: "unsupported event type coordination.k8s.io.v1.leases.status.update_request",
  },
  {
    to: "agents",
    event: reportWith({ originalsource: "other" }),
    code: INVALID_ARGUMENT,
    details: 'unmatched source: the event is for "other", this server is "maestro"',
  },
  {
    to: "agents",
    event: reportWith({ sequenceid: "later" }),
    code: INVALID_ARGUMENT,
    details: "failed to get sequenceid extension: it must be a decimal snowflake id",
  },
  {
    to: "agents",
    event: { ...report, data: "[]" },
    code: INVALID_ARGUMENT,
    details: "Cannot read the status: …",
  },
  {
    to: "agents",
    event: specResync("c1", []),
    code: FAILED_PRECONDITION,
    details: 'Cannot resync consumer "c1": it has no subscription here',
  },
];

test("what cannot be done is refused in words, and never in the JSON of an error", async () => {
  await using doors = await openDoors();
  await doors.consumer("c1");
  for (const parts of [CREATED, DELETING]) await publish(doors.sources, specEvent(parts));
  await publish(doors.sources, specEvent(update({ version: 1, data: bundle("2") })));
  await publish(doors.sources, specEvent({ ...DELETING, action: "delete_request" }));

  for (const { to, event, code, details } of REFUSALS) {
    const answer = await refusal(doors[to], "type" in event ? event : specEvent(event));
    const [begin = "", rest] = details.split("…");
    const said = rest === undefined ? answer.details : `${answer.details.slice(0, begin.length)}…`;
    expect({ code: answer.code, details: said }).toEqual({ code, details });
    // A Go client takes a message that is JSON for the error itself, and of `{}` nothing is left.
    expect(() => JSON.parse(answer.details)).toThrow();
  }
  const rows = await query(doors.db, "select id from resources order by id", []);
  expect(rows).toEqual([{ id: "created" }, { id: "deleting" }]);
});

test("an unknown consumer is refused by the name of the constraint, which clients look for", async () => {
  await using doors = await openDoors();

  const { details } = await refusal(doors.sources, specEvent({ id: "a", consumerName: "nobody" }));

  expect(details).toContain('violates foreign key constraint "fk_resources_consumers"');
});
