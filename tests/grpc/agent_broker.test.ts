/** The agent's connection: what it asks for, what it says, and how it notices that nobody listens. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type AgentBrokerConfig,
  parseBrokerConfig,
  plainBrokerConfig,
  readBrokerConfig,
} from "../../src/lib/grpc/agent_broker_config.ts";
import { GrpcError, STATUS } from "../../src/lib/grpc/errors.ts";
import { type CloudEvent, HEARTBEAT_TYPE, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { eventually } from "../harness/eventually.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";
import { connect, event, startServer } from "./both_ends.ts";
import { serveRaw } from "./odd_server.ts";

const folder = await mkdtemp(join(tmpdir(), "maestro-broker-"));

afterAll(() => rm(folder, { recursive: true }));

function heartbeat(): CloudEvent {
  return { id: crypto.randomUUID(), source: "", type: HEARTBEAT_TYPE, extensions: {} };
}

test("it subscribes for its consumer, receives in order without heartbeats, and publishes", async () => {
  await using server = await startServer();
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));
  await eventually(() => connection.subscribed === 1);
  const stream = server.streams[0];

  stream?.write(encodeEvent(event("1")));
  stream?.write(encodeEvent(heartbeat()));
  stream?.write(encodeEvent(event("2")));
  await connection.broker.publish(event("mine", `${MANIFEST_BUNDLES}.status.update_request`));

  await eventually(() => connection.received.length === 2);
  expect(connection.received.map(({ id }) => id)).toEqual(["1", "2"]);
  expect(server.published.map(({ id }) => id)).toEqual(["mine"]);
  expect(server.subscriptions[0]).toMatchObject({
    source: "",
    clusterName: "c1",
    dataType: MANIFEST_BUNDLES,
  });
});

test("without a connection publishing is refused at once, and a server that comes later is found", async () => {
  const first = await startServer();
  const { port } = first;
  await first[Symbol.asyncDispose]();
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${port}`));
  await eventually(() => connection.reasons.length > 0);

  const refused = await connection.broker.publish(event("lost")).catch((error) => error);
  await using server = await startServer({ port });
  await eventually(() => connection.subscribed === 1);
  await connection.broker.publish(event("found"));

  expect(refused).toMatchObject({ code: "unavailable" });
  expect(server.published.map(({ id }) => id)).toEqual(["found"]);
});

test("A93, M24: a connection that says nothing is given up, and a new one is made", async () => {
  await using server = await startServer();
  await using proxy = await startTcpProxy(server.port);
  const config = parseBrokerConfig(
    `url: 127.0.0.1:${proxy.port}\nserverHealthinessTimeout: 300ms\n`,
  );
  await using connection = connect(config);
  await eventually(() => connection.subscribed === 1);

  proxy.freeze();

  await eventually(() => connection.reasons.includes("no heartbeat received for 300 ms"));
});

test("a server that has never sent a heartbeat need not, and one that has must go on", async () => {
  await using server = await startServer();
  const config = { ...plainBrokerConfig(`127.0.0.1:${server.port}`), healthinessTimeoutMs: 200 };
  await using connection = connect(config);
  await eventually(() => connection.subscribed === 1);

  await Bun.sleep(500);
  const before = [...connection.reasons];
  server.streams[0]?.write(encodeEvent(heartbeat()));
  await eventually(() => connection.subscribed === 2);

  expect(before).toEqual([]);
  expect(connection.reasons).toEqual(["no heartbeat received for 200 ms"]);
});

test("M24: without heartbeats a dead connection is found by pings", async () => {
  await using server = await startServer();
  await using proxy = await startTcpProxy(server.port);
  const config = parseBrokerConfig(
    `url: 127.0.0.1:${proxy.port}\nkeepAliveConfig: {enable: true, time: 200ms, timeout: 200ms}\n`,
  );
  await using connection = connect(config);
  await eventually(() => connection.subscribed === 1);
  await Bun.sleep(500);
  const before = [...connection.reasons];

  proxy.freeze();

  await eventually(() => connection.reasons.length > 0);
  expect(before).toEqual([]);
  expect(parseBrokerConfig("url: a:1").keepAlive).toMatchObject({ timeMs: 30_000 });
});

test(
  "a server that sends its headers only with the first event is subscribed to all the same",
  async () => {
    await using server = await startServer({ isHeaderless: true });
    await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));

    await eventually(() => connection.subscribed === 1, Boolean, { timeoutMs: 10_000 });
    server.streams[0]?.write(encodeEvent(event("1")));

    await eventually(() => connection.received.length === 1);
  },
  20_000,
);

test("any event keeps a connection alive, not only a heartbeat", async () => {
  await using server = await startServer();
  const config = {
    ...plainBrokerConfig(`127.0.0.1:${server.port}`),
    healthinessTimeoutMs: 2_000,
    isHeartbeatRequired: true,
  };
  await using connection = connect(config);
  await eventually(() => connection.subscribed === 1);

  for (let index = 0; index < 25; index++) {
    server.streams[0]?.write(encodeEvent(event(String(index))));
    await Bun.sleep(100);
  }

  expect(connection.reasons).toEqual([]);
  expect(connection.received).toHaveLength(25);
});

test("a server that goes away is a reason, and its return another subscription", async () => {
  const first = await startServer();
  const { port } = first;
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${port}`));
  await eventually(() => connection.subscribed === 1);

  await first[Symbol.asyncDispose]();
  await eventually(() => connection.reasons.length > 0);
  await using _second = await startServer({ port });

  await eventually(() => connection.subscribed === 2);
});

test("an event that is not one is skipped, and the stream lives on", async () => {
  await using server = await startServer();
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));
  await eventually(() => connection.subscribed === 1);

  server.streams[0]?.write(new Uint8Array([255, 255, 255]));
  server.streams[0]?.write(encodeEvent(event("good")));

  await eventually(() => connection.received.length === 1);
  expect(connection.subscribed).toBe(1);
});

test("what the server refuses is an error with its code and words", async () => {
  await using server = await startServer();
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));
  await eventually(() => connection.subscribed === 1);
  server.refusal = new GrpcError(STATUS.permissionDenied, "not yours");

  const refused = await connection.broker.publish(event("1")).catch((error) => error);

  expect(refused).toMatchObject({
    code: "permission_denied",
    message: "Cannot publish: not yours",
  });
});

test.each([
  [
    { code: "not_found", message: 'Cannot publish: works "a" not found' },
    '{"ErrStatus":{"metadata":{},"status":"Failure","message":"works \\"a\\" not found",' +
    '"reason":"NotFound","code":404}}',
  ],
  [
    { code: "conflict", message: "Cannot publish: the resource version is not the latest" },
    '{"ErrStatus":{"status":"Failure","message":"the resource version is not the latest","code":409}}',
  ],
  [{ code: "conflict", message: "Cannot publish: the server gives no reason ({})" }, "{}"],
  [{ code: "conflict", message: "Cannot publish: {not JSON" }, "{not JSON"],
])("what a Go broker refuses is read: %p", async (expected, details) => {
  await using server = await startServer();
  await using connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));
  await eventually(() => connection.subscribed === 1);
  server.refusal = new GrpcError(STATUS.failedPrecondition, details);

  const refused = await connection.broker.publish(event("1")).catch((error) => error);

  expect(refused).toMatchObject(expected);
});

test("a token file is trimmed and read again for each connection", async () => {
  await using server = await startServer();
  const file = join(folder, "token");
  await Bun.write(file, "first\n");
  const config = {
    ...plainBrokerConfig(`127.0.0.1:${server.port}`),
    readToken: parseBrokerConfig(`url: a:1\ntokenFile: ${file}\ncaData: x`).readToken,
  } as AgentBrokerConfig;
  await using connection = connect(config);
  await eventually(() => connection.subscribed === 1);

  await Bun.write(file, "second\n");
  server.streams[0]?.end({ code: STATUS.ok });

  await eventually(() => connection.subscribed === 2);
  expect(server.tokens).toEqual(["Bearer first", "Bearer second"]);
});

test("the file of the Go agent is understood", async () => {
  const file = join(folder, "config.yaml");
  await Bun.write(
    file,
    `url: maestro-grpc-broker.maestro:8091
keepAliveConfig:
  enable: true
  time: 20s
serverHealthinessTimeout: 1m
`,
  );

  const config = await readBrokerConfig(file);

  expect(config).toMatchObject({
    url: "maestro-grpc-broker.maestro:8091",
    keepAlive: { timeMs: 20_000, timeoutMs: 10_000, permitWithoutStream: false },
    healthinessTimeoutMs: 60_000,
  });
  const plain = { healthinessTimeoutMs: 25_000, isHeartbeatRequired: false };
  expect(parseBrokerConfig('{"url":"a:1"}')).toMatchObject(plain);
  expect(parseBrokerConfig("url: a:1\nserverHealthinessTimeout: 0s")).toMatchObject(plain);
});

test("an agent that is stopped before it has connected ends at once", async () => {
  await using server = await startServer();

  const connection = connect(plainBrokerConfig(`127.0.0.1:${server.port}`));

  await connection[Symbol.asyncDispose]();

  expect(connection.reasons).toEqual(["the agent is stopping"]);
  expect(connection.subscribed).toBe(0);
});

test("an agent that cannot read its token leaves no connection behind", async () => {
  await using server = await serveRaw((socket) => void socket.resume());
  const readToken = () => Promise.reject(new Error("no token"));
  await using connection = connect({
    ...plainBrokerConfig(`127.0.0.1:${server.port}`),
    readToken,
  });

  await eventually(() => connection.reasons.length > 1);

  expect(connection.reasons[0]).toBe("no token");
  expect(server.sockets).toHaveLength(0);
});
