/** Agents that share a process and not their fate. */

import { expect, test } from "bun:test";
import { eventually } from "../harness/eventually.ts";
import { parseBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { connect, event, startServer } from "./both_ends.ts";

test("A92: of two agents at one server, one that ends leaves the other's connection alone", async () => {
  await using server = await startServer();
  const config = parseBrokerConfig(`url: 127.0.0.1:${server.port}\n`);
  const first = connect(config);
  await using second = connect(config);
  await eventually(() => first.subscribed === 1 && second.subscribed === 1);
  await Promise.all([first.broker.publish(event("1")), second.broker.publish(event("2"))]);

  await first[Symbol.asyncDispose]();

  await second.broker.publish(event("3"));
  expect(server.published.map(({ id }) => id).toSorted()).toEqual(["1", "2", "3"]);
  expect([second.reasons, second.subscribed]).toEqual([[], 1]);
});
