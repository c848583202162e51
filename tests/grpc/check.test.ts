/** What the check of now and then does over gRPC, where an agent may stop to read. */

import { expect, test } from "bun:test";
import { query } from "../../src/lib/db/query.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { openDoors } from "../harness/doors.ts";
import { statusEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { subscribe } from "../harness/grpc.ts";
import { joinGrpcAgent } from "../harness/grpc_agent.ts";
import { known } from "../mqtt/hub.ts";
import { newResource } from "../spec/specs.ts";

const COUNT = 30_000;
const PATIENCE = { timeoutMs: 40_000 };

test(
  "an agent that stops to read while it is asked does not keep others from being checked",
  async () => {
    await using doors = await openDoors({ args: ["--status-check-interval=500ms"] });
    const [stuck, other] = [await doors.consumer("a-stuck"), await doors.consumer("b-other")];
    await using _agent = await joinGrpcAgent(doors.agents, other);
    const { id } = newResource(other);
    await doors.flows.acceptor.create(newResource(other, { id }));
    await eventually(() => known(doors, id), (row) => row?.applied_version === 1);
    // A Go agent, which is asked about each status.
    await using idle = await subscribe(doors.agents, { clusterName: stuck });
    await query(
      doors.db,
      "insert into resources (id, name, source, consumer_name, type, data_type, version, " +
        "observed_version, spec, spec_hash, spec_event) " +
        "select id, id, 'tests', $1, 'Bundle', $2, 1, 1, '{\"manifests\":[]}', '', '{}' " +
        "from (select gen_random_uuid()::text as id from generate_series(1, $3::int)) made",
      [stuck, MANIFEST_BUNDLES, COUNT],
    );
    idle.pause();
    await idle.publish(statusEvent({ id: "unknown", consumerName: stuck }));
    await eventually(
      () => [...doors.flows.agents?.ready().keys() ?? []].join(),
      (names) => names === other,
    );

    await query(doors.db, "update resources set status = null, status_hash = null where id = $1", [
      id,
    ]);

    const row = await eventually(
      () => known(doors, id),
      (row) => row?.status !== null,
      PATIENCE,
    );
    expect(row?.status).toContain("Available");
    expect(idle.events).toEqual([]);
  },
  100_000,
);
