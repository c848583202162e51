/** A source that says which statuses it holds: what it is answered, and on which stream. */

import { expect, test } from "bun:test";
import { openDoors } from "../harness/doors.ts";
import { specEvent, specResync, statusEvent, statusResync } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, refusal, subscribe } from "../harness/grpc.ts";

const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;

type Doors = Awaited<ReturnType<typeof openDoors>>;

/** A resource of `tests` that its agent has reported on. */
async function reported(doors: Doors, consumerName: string): Promise<string> {
  const id = crypto.randomUUID();
  await publish(doors.sources, specEvent({ id, consumerName }));
  await publish(doors.agents, statusEvent({ id, consumerName }));
  return id;
}

test("the answer goes to the stream of the connection that asked, and to no other of the source", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = await reported(doors, consumerName);
  await using asking = await subscribe(doors.sources, { source: "tests" });
  await using other = await subscribe(doors.sources, { source: "tests" });

  await asking.publish(statusResync("tests", []));
  await asking.waitFor(({ extensions }) => extensions["resourceid"] === id);
  // What both are told comes after the answer.
  await publish(doors.agents, statusEvent({ id, consumerName, message: "news" }));
  await eventually(() => asking.events.length === 2 && other.events.length === 1);

  expect(other.events[0]?.data).toContain("news");
});

test("a source that asks over a connection of its own is answered on its streams", async () => {
  await using doors = await openDoors();
  const id = await reported(doors, await doors.consumer());
  await using one = await subscribe(doors.sources, { source: "tests" });
  await using other = await subscribe(doors.sources, { source: "tests" });
  await using stranger = await subscribe(doors.sources, { source: "strangers" });

  await stranger.publish(statusResync("tests", []));

  for (const source of [one, other]) {
    await source.waitFor(({ extensions }) => extensions["resourceid"] === id);
  }
  expect(stranger.events).toEqual([]);
});

test("M14: a source that was away during deletions learns of them, and of nothing else", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const [kept, gone] = [await reported(doors, consumerName), await reported(doors, consumerName)];
  await publish(doors.sources, specEvent({ id: gone, consumerName, action: "delete_request" }));
  await publish(doors.agents, statusEvent({ id: gone, consumerName, isDeleted: true }));

  await using source = await subscribe(doors.sources, { source: "tests" });
  await source.publish(statusResync("tests", [
    { resourceId: kept, hash: "old" },
    { resourceId: gone, hash: "old" },
    { resourceId: "never-heard-of", hash: "old" },
  ]));
  await eventually(() => source.events.length === 2);

  const [status, deletion] = source.events;
  expect(status?.extensions["resourceid"]).toBe(kept);
  expect(deletion?.extensions["resourceid"]).toBe(gone);
  expect(JSON.parse(deletion?.data ?? "").conditions[0]).toMatchObject({
    type: "Deleted",
    status: "True",
  });
});

test("a resync request with the wrong subresource is taken for what its body says", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const id = await reported(doors, consumerName);
  await using source = await subscribe(doors.sources, { source: "tests" });
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  const status = statusResync("tests", [{ resourceId: id, hash: "old" }]);
  const spec = specResync(consumerName, []);
  const swapped = (type: string) =>
    type.replace(/\.(spec|status)\./, (_, name) => name === "spec" ? ".status." : ".spec.");

  await source.publish({ ...status, type: swapped(status.type) });
  await agent.publish({ ...spec, type: swapped(spec.type) });

  await source.waitFor(({ extensions }) => extensions["resourceid"] === id);
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === id);
});

test("a source may not ask for specs, nor an agent for statuses", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  await using _agent = await subscribe(doors.agents, { clusterName: consumerName });

  const answers = [
    await refusal(doors.sources, specResync(consumerName, [])),
    await refusal(doors.agents, statusResync(consumerName, [])),
  ];

  expect(answers.map(({ code }) => code)).toEqual([UNKNOWN, INVALID_ARGUMENT]);
  for (const { details } of answers) expect(details).toStartWith("unsupported event type ");
});
