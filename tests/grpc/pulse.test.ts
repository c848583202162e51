/** Who is shown as connected behind the gRPC broker. */

import { expect, test } from "bun:test";
import { EXT } from "../../src/lib/wire/event.ts";
import { type Doors, openDoors } from "../harness/doors.ts";
import { statusEvent } from "../harness/events.ts";
import { allConsumers } from "../consumer/listed.ts";
import { eventually } from "../harness/eventually.ts";
import { publish, subscribe } from "../harness/grpc.ts";

async function shown({ db }: Doors) {
  return await allConsumers(db);
}

test("an agent that is connected is shown so, though it has nothing to say", async () => {
  await using doors = await openDoors();
  const [one, other] = [await doors.consumer(), await doors.consumer()];

  await using _agent = await subscribe(doors.agents, { clusterName: one });

  const consumers = await eventually(
    () => shown(doors),
    (all) => all.some(({ connection }) => connection === "connected"),
  );
  expect(new Map(consumers.map(({ name, connection }) => [name, connection]))).toEqual(
    new Map([[one, "connected"], [other, "unknown"]]),
  );
});

test("what an agent reports tells its version, even if the report itself is stale", async () => {
  await using doors = await openDoors();
  const consumerName = await doors.consumer();
  const report = statusEvent({ id: "unheard-of", consumerName });
  report.extensions[EXT.agentVersion] = "9.8.7";

  await publish(doors.agents, report);

  const [consumer] = await eventually(
    () => shown(doors),
    ([first]) => first?.agent_version !== undefined,
  );
  expect(consumer).toMatchObject({ connection: "connected", agent_version: "9.8.7" });
});
