/** What comes for a resource that is being deleted, through every door. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { createMetrics } from "../../src/lib/metrics.ts";
import { createRestApp } from "../../src/lib/rest/app.ts";
import { createSpecDoor } from "../../src/lib/spec/door.ts";
import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import { encodeStructured } from "../../src/lib/wire/structured.ts";
import { NGINX } from "../../tools/openapi/examples.ts";
import { type Doors, openDoors } from "../harness/doors.ts";
import { bundle, specEvent, specResync, statusEvent } from "../harness/events.ts";
import { publish, refusal, subscribe } from "../harness/grpc.ts";
import { testLogger } from "../harness/postgres.ts";

function openRest({ db, flows }: Doors) {
  const app = createRestApp({
    db,
    spec: createSpecDoor(db, flows.acceptor, testLogger()),
    log: testLogger(),
    metrics: createMetrics(),
  });
  return async (method: string, path: string, body?: string, type = "application/json") => {
    const headers = { "content-type": type };
    const options = { method, headers, ...(body === undefined ? {} : { body }) };
    const response = await app.request(`/api/maestro/v1${path}`, options);
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  };
}

const isDeletion = ({ extensions }: CloudEvent) => EXT.deletionTimestamp in extensions;

test("M4: no stale or retried create or update, by gRPC or REST, takes a deleting resource away or back", async () => {
  await using doors = await openDoors();
  const rest = openRest(doors);
  const consumerName = await doors.consumer();
  const id = crypto.randomUUID();
  const create = specEvent({ id, consumerName });
  const update = (version: number) =>
    specEvent({
      id,
      consumerName,
      action: "update_request",
      extensions: { resourceversion: version },
      data: bundle("another"),
    });
  await publish(doors.sources, create);
  const manifest = JSON.stringify({ consumer_name: consumerName, manifest: NGINX });
  const posted = await rest("POST", "/resources", manifest);
  const { id: postedId } = posted.body;
  await publish(doors.sources, specEvent({ id, consumerName, action: "delete_request" }));
  await rest("DELETE", `/resources/${postedId}`);
  const rows = () =>
    query<{ id: string; version: number; deleted_at: string }>(
      doors.db,
      "select id, version, deleted_at::text, spec_hash from resources order by id",
      [],
    );
  const before = await rows();

  for (const event of [create, update(1), update(0)]) {
    await refusal(doors.sources, event);
    const type = "application/cloudevents+json";
    const { status } = await rest("POST", "/cloudevents", encodeStructured(event), type);
    expect(status).toBe(409);
  }
  const patch = JSON.stringify({ version: 1, manifest: { ...NGINX, metadata: { name: "other" } } });
  expect((await rest("PATCH", `/resources/${postedId}`, patch)).status).toBe(409);

  expect(before).toHaveLength(2);
  expect(await rows()).toEqual(before);
  // The agent that comes now is told nothing but the deletions, and its confirmation ends them.
  await using agent = await subscribe(doors.agents, { clusterName: consumerName });
  const held = [id, postedId].map((resourceId) => ({ resourceId, version: 1 }));
  await publish(doors.agents, specResync(consumerName, held));
  for (const { resourceId } of held) {
    await agent.waitFor((event) => event.extensions[EXT.resourceId] === resourceId);
  }
  const told = agent.events.filter(({ extensions }) => extensions[EXT.resourceId] !== undefined);
  expect(told.every(isDeletion)).toBeTrue();
  for (const { resourceId } of held) {
    const gone = statusEvent({ id: resourceId, consumerName, isDeleted: true });
    await publish(doors.agents, gone);
  }
  expect(await rows()).toEqual([]);
});
