/** What is larger than an agent may be sent over gRPC: it is refused with a reason, and keeps nothing else away. */

import { expect, test } from "bun:test";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { openDoors } from "../harness/doors.ts";
import { bundle, specResync } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { subscribe } from "../harness/grpc.ts";
import { joinGrpcAgent } from "../harness/grpc_agent.ts";
import { known } from "../mqtt/hub.ts";
import { newResource } from "../spec/specs.ts";

/** In the order in which they are looked for. */
const [FIRST, SECOND] = ["a-large", "b-small"];
const PATIENCE = { timeoutMs: 20_000 };

test("a spec that is too large keeps no other from its agent, and its source hears why", async () => {
  await using doors = await openDoors({ args: ["--grpc-max-send-message-size=20000"] });
  const consumer = await doors.consumer();
  const acceptor = createAcceptor(doors.db);
  const spec = bundle("x".repeat(30_000));
  await acceptor.create(newResource(consumer, { id: FIRST, spec }));
  await acceptor.create(newResource(consumer, { id: SECOND }));

  await using _agent = await joinGrpcAgent(doors.agents, consumer);

  await eventually(() => known(doors, SECOND), (row) => row?.applied_version === 1, PATIENCE);
  const refused = await eventually(() => known(doors, FIRST), (row) => row?.status !== null);
  expect(refused?.status).toContain('"EventNotSent"');
});

test("a Go agent is sent nothing that its client does not take, and of a deletion what it needs", async () => {
  await using doors = await openDoors();
  const consumer = await doors.consumer();
  await using agent = await subscribe(doors.agents, { clusterName: consumer });
  // It does not say that it is ours.
  await agent.publish(specResync(consumer, []));
  const { acceptor } = doors.flows;
  const spec = bundle("x".repeat(4 * 1024 * 1024));

  await acceptor.create(newResource(consumer, { id: FIRST, spec }));
  await acceptor.create(newResource(consumer, { id: SECOND }));
  await agent.waitFor(({ extensions }) => extensions["resourceid"] === SECOND);
  const refused = await eventually(() => known(doors, FIRST), (row) => row?.status !== null);
  await acceptor.delete({ id: FIRST });
  const deletion = await agent.waitFor(({ extensions }) => extensions["resourceid"] === FIRST);

  expect(refused?.status).toContain("the agent takes at most 4194304");
  expect(deletion).toMatchObject({
    type: `${MANIFEST_BUNDLES}.spec.delete_request`,
    extensions: { resourceversion: 1, clustername: consumer },
  });
  expect(Object.keys(deletion.extensions)).toContain("deletiontimestamp");
  expect(deletion.data).toBeUndefined();
});
