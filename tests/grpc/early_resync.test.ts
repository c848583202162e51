/** An agent that asks before the server has let it in, as a busy server takes its time. */

import { expect, test } from "bun:test";
import { parseServerConfig } from "../../src/lib/config.ts";
import { createAgentDoor } from "../../src/lib/grpc/agents.ts";
import { plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import {
  callHeaders,
  cancel,
  connectTo,
  publish,
  subscribe,
} from "../../src/lib/grpc/agent_call.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import { grpcLimits } from "../../src/lib/grpc_config.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeSubscription } from "../../src/lib/wire/protobuf.ts";
import { specResync } from "../harness/events.ts";
import { testLogger } from "../harness/postgres.ts";

const log = testLogger();

test("a resync that comes before its subscription counts is answered once it does", async () => {
  const config = parseServerConfig(
    ["--database-url", "postgres:///none", "--enable-jwt=false", "--grpc-authn-type=mock"],
    {},
  );
  const clock = Promise.withResolvers<string>();
  const answered: string[] = [];
  const door = createAgentDoor({
    acceptReport: () => Promise.resolve("stored"),
    answerResync(_, { name }) {
      answered.push(name);
      return { compared: Promise.resolve(), answered: Promise.resolve() };
    },
    now: () => clock.promise,
    heard: () => {},
    wake: () => {},
    limit: { bytesMax: () => Infinity, refuse: () => {} },
    sourceId: "maestro",
    heartbeatMs: undefined,
    log,
  });
  await using server = await serveGrpc(door.methods, {
    ...{ hostname: "127.0.0.1", port: 0, limits: grpcLimits(config), log },
  });
  const broker = plainBrokerConfig(`127.0.0.1:${server.port}`);
  const [channel, headers] = [await connectTo(broker), await callHeaders(broker)];
  const request = { source: "", clusterName: "cluster1", dataType: MANIFEST_BUNDLES };
  const stream = subscribe(channel, headers, encodeSubscription(request), { ended() {} });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    cancel(stream);
    channel.close();
  });

  const event = specResync("cluster1", []);
  const asking = publish(channel, headers, event).then(() => "answered", ({ message }) => message);
  // What was sent before this call has come by now.
  await expect(publish(channel, headers, { ...event, type: "nonsense" })).rejects.toBeDefined();
  expect(answered).toEqual([]);
  clock.resolve("2026-01-02T03:04:05Z");

  expect(await asking).toBe("answered");
  expect(answered).toEqual(["cluster1"]);
});
