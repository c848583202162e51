/** The conversation that was captured from the Go server and its clients, held again with ours. */

import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/lib/json.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import { openDoors } from "../harness/doors.ts";
import { eventually } from "../harness/eventually.ts";
import { openPublisher, type Refusal, subscribe, type Subscription } from "../harness/grpc.ts";
import captured from "../golden/grpc_captured.json";

interface Captured {
  what: string;
  event: { id: string; source: string; type: string; attributes: Record<string, JsonObject> };
  data?: string;
  refusal?: string;
}

const UNKNOWN = 2;
const ASKS_AGAIN = "21-agent-resync-while-deleting";

/** What we do otherwise, each with its reason. */
const OTHERWISE: Record<string, string> = {
  "13-agent-resync-unknown-resource":
    "an id that no tombstone knows is not deleted: the server may be the one that has forgotten",
};

/** The recorder saw some answers before the calls that caused them. */
function inOrder(records: Captured[]): Captured[] {
  if (records[0]?.what.endsWith("publishes")) return records;
  return records.toSorted((a, b) =>
    Number(b.what.endsWith("publishes")) - Number(a.what.endsWith("publishes"))
  );
}

function toEvent({ event, data }: Captured): CloudEvent {
  const extensions: CloudEvent["extensions"] = {};
  for (const [key, attribute] of Object.entries(event.attributes)) {
    if (key.startsWith("ce-")) extensions[key.slice(3)] = Object.values(attribute)[0] as string;
  }
  const { time, ...rest } = extensions;
  return {
    id: event.id,
    source: event.source,
    type: event.type,
    // Written with trailing zeros in the capture's notation.
    ...(time !== undefined && { time: String(time).replace(/0+Z$/, "Z") }),
    ...(event.attributes["contenttype"] && { datacontenttype: "application/json" }),
    extensions: rest,
    ...(data !== undefined && { data }),
  };
}

/** What can be compared: keys in any order, no times of this run, a deletion's id is fresh each time. */
function comparable(event: CloudEvent): JsonObject {
  const { metadata, deletiontimestamp, ...extensions } = event.extensions;
  const isDeletion = deletiontimestamp !== undefined;
  // Answers to a resync have no times in the Go server's metadata; ours always have them.
  const { creationTimestamp: _, deletionTimestamp: __, ...stable } = JSON.parse(
    String(metadata ?? "{}"),
  );
  return {
    ...(isDeletion ? {} : { id: event.id, time: event.time }),
    source: event.source,
    type: event.type,
    datacontenttype: event.datacontenttype,
    isDeletion,
    extensions,
    metadata: stable,
    data: event.data === undefined ? undefined : JSON.parse(event.data),
  };
}

test("the captured conversation goes as it went with the Go server", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer("vecg-000");
  let agent = await subscribe(doors.agents, { clusterName: consumerName });
  const source = await subscribe(doors.sources, { source: "vecsourceg" });
  using fromSource = openPublisher(doors.sources);
  using fromAgent = openPublisher(doors.agents);
  const received = new Map<Subscription, number>();
  const next = async (subscription: Subscription) => {
    const index = received.get(subscription) ?? 0;
    received.set(subscription, index + 1);
    await eventually(() => subscription.events.length > index);
    return subscription.events[index] as CloudEvent;
  };

  for (
    const { step, records } of captured.steps as unknown as {
      step: string;
      records: Captured[];
    }[]
  ) {
    if (step === ASKS_AGAIN) {
      // Agents ask only when they have just connected; a deletion is sent to each connection once.
      agent.close();
      agent = await subscribe(doors.agents, { clusterName: consumerName });
    }
    for (const record of inOrder(records)) {
      const expected = comparable(toEvent(record));
      if (record.what === "source publishes" || record.what === "agent publishes") {
        const publisher = record.what === "source publishes" ? fromSource : fromAgent;
        await expectAnswer(step, publisher.publish(toEvent(record)), record.refusal);
      } else if (OTHERWISE[step] === undefined) {
        const event = comparable(await next(record.what === "agent receives" ? agent : source));
        // Sent for the new connection or for the question, whichever came first.
        if (step === ASKS_AGAIN) event["type"] = expected["type"];
        expect({ step, ...event }).toEqual({ step, ...expected });
      }
    }
  }

  // Nothing came that was not expected.
  expect(source.events).toHaveLength(received.get(source) ?? 0);
  expect(agent.events).toHaveLength(received.get(agent) ?? 0);
  agent.close();
  source.close();
});

async function expectAnswer(
  step: string,
  call: Promise<void>,
  refusal: string | undefined,
): Promise<void> {
  const answer = await call.then(
    () => undefined,
    ({ code, details }: Refusal) => ({ code, details }),
  );
  if (refusal === undefined) return expect({ step, answer }).toEqual({ step, answer: undefined });
  // Clients look for the constraint; the rest is PostgreSQL's own sentence.
  const constraint = 'violates foreign key constraint "fk_resources_consumers"';
  const details = refusal.includes(constraint) ? expect.stringContaining(constraint) : refusal;
  expect({ step, answer }).toEqual({ step, answer: { code: UNKNOWN, details } });
}
