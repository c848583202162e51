/** The agent's connection through an HTTP proxy, and what it says of one that gives none. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseBrokerConfig, plainBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { openTunnel } from "../../src/lib/grpc/tunnel.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { spawnProgram } from "../harness/programs.ts";
import { connect, event, startServer } from "./both_ends.ts";
import { OPEN, serveRequests, serveTunnels } from "./connect_proxy.ts";
import { FRAME, GRPC_HEADERS, http2Frame, serveFrames } from "./odd_server.ts";

const HUB = "hub.example:8091";
const AGENT = [process.execPath, join(import.meta.dir, "../../src/agent.ts")];
const folder = await mkdtemp(join(tmpdir(), "maestro-tunnel-"));

afterAll(() => rm(folder, { recursive: true }));

test.each([[false], [true]])(
  "plain HTTP/2 goes through the tunnel, the server's words beside the proxy's: %p",
  async (isTogether) => {
    await using server = await startServer();
    await using tunnels = await serveTunnels(server.port, { isTogether });
    const authorization = "Basic YWdlbnQ6c2VjcmV0";
    const proxy = { ...tunnels.proxy, authorization };
    await using connection = connect({ ...plainBrokerConfig(HUB), proxy });

    await eventually(() => connection.subscribed === 1);
    const [large, last] = [event("large"), event("last")];
    large.data = JSON.stringify("x".repeat(3_000_000));
    await connection.broker.publish(large);
    await connection.broker.publish(last);

    expect(server.published.map(({ id }) => id)).toEqual(["large", "last"]);
    expect(tunnels.requests).toEqual([
      `CONNECT ${HUB} HTTP/1.1\r\nHost: ${HUB}\r\nUser-Agent: maestro-agent\r\n` +
      `Proxy-Authorization: ${authorization}\r\n\r\n`,
    ]);
    expect(connection.reasons).toEqual([]);
  },
);

test.each([[false], [true]])(
  "what a server does wrong is survived behind a proxy too, as without one: %p",
  async (isTogether) => {
    await using server = await serveFrames((socket) => {
      // A stream that was not asked for, and what would be an error of it.
      socket.write(http2Frame(FRAME.HEADERS, 4, 2, GRPC_HEADERS));
      socket.write(http2Frame(FRAME.SETTINGS, 0, 3, Buffer.alloc(5)));
    });
    await using tunnels = await serveTunnels(server.port, { isTogether });
    await using connection = connect({ ...plainBrokerConfig(HUB), proxy: tunnels.proxy });

    const reason = await eventually(() => connection.reasons[0]);

    expect(reason).toBe("Connection dropped: Protocol error: the server opens stream 2");
  },
);

test("TLS goes through the tunnel, and the server is known by its own name", async () => {
  const { files, texts } = await makeCertificate(folder, "DNS:hub.example");
  const config = (url: string) =>
    parseBrokerConfig(
      `url: ${url}\ntoken: secret\ncaFile: ${files.cert}\nclientCertFile: ${files.cert}\n` +
        `clientKeyFile: ${files.key}\n`,
    );
  await using server = await startServer({ tls: texts });
  await using tunnels = await serveTunnels(server.port);
  await using connection = connect({ ...config(HUB), proxy: tunnels.proxy });
  await eventually(() => connection.subscribed === 1);
  await connection.broker.publish(event("1"));
  await using other = connect({ ...config("other.example:8091"), proxy: tunnels.proxy });

  const reason = await eventually(() => other.reasons[0]);

  expect(server.tokens).toEqual(["Bearer secret"]);
  expect(server.published.map(({ id }) => id)).toEqual(["1"]);
  expect(reason).toContain("does not match certificate's altnames");
});

test("an address of IPv6 is asked for in brackets, and any 2xx opens the tunnel", async () => {
  await using server = await startServer();
  await using tunnels = await serveTunnels(server.port, { open: "HTTP/1.0 204\n\n" });
  await using connection = connect({
    ...plainBrokerConfig("[fd00::17]:8091"),
    proxy: tunnels.proxy,
  });

  await eventually(() => connection.subscribed === 1);

  expect(tunnels.requests[0]).toStartWith(
    "CONNECT [fd00::17]:8091 HTTP/1.1\r\nHost: [fd00::17]:8091",
  );
});

test("a connection that breaks behind the proxy is made anew through it", async () => {
  await using server = await startServer();
  await using tunnels = await serveTunnels(server.port);
  await using connection = connect({ ...plainBrokerConfig(HUB), proxy: tunnels.proxy });
  await eventually(() => connection.subscribed === 1);

  tunnels.sockets[0]?.destroy();

  await eventually(() => connection.subscribed === 2);
  expect(connection.reasons).toEqual(["Connection dropped"]);
  expect(tunnels.requests).toHaveLength(2);
});

test.each([
  [
    "407",
    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
    "it answered 407 Proxy Authentication Required",
  ],
  [
    "502 with a body",
    "HTTP/1.1 502 Bad\tGate\x1b[way\r\n\r\n<html>",
    "it answered 502 Bad?Gate?[way",
  ],
  ["a redirect", "HTTP/1.1 302\r\nLocation: /\r\n\r\n", "it answered 302"],
  ["an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", "it answered 100 Continue"],
  ["another protocol", "SSH-2.0-OpenSSH_9.6\r\n", "its answer is not HTTP"],
  ["a status of letters", "HTTP/1.1 good\r\n\r\n", "its answer is not HTTP"],
  ["HTTP/2", http2Frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(0)), "its answer is not HTTP"],
  ["no end", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(16_384)}`, "its answer is longer than 16 KB"],
  ["nothing but an end", "", "it closed the connection without an answer"],
  ["half an answer", "HTTP/1.1 200 OK\r\nVia:", "it closed the connection without an answer"],
])("a proxy that gives no tunnel is named with its answer: %s", async (kind, answer, reason) => {
  await using served = await serveRequests((socket) => {
    socket.write(answer);
    if (kind.includes("end") || kind.includes("half")) socket.end();
  });
  const proxy = { ...served.proxy, authorization: "Basic YWdlbnQ6c2VjcmV0" };
  await using connection = connect({ ...plainBrokerConfig(HUB), proxy });

  const said = await eventually(() => connection.reasons[0]);
  await eventually(() => served.sockets[0]?.readableEnded || served.sockets[0]?.destroyed);

  expect(said).toBe(`No connection to ${HUB} through the proxy ${proxy.name} of test: ${reason}`);
  // And it tries again.
  await eventually(() => connection.reasons.length > 1);
});

test("a proxy that is not there is named", async () => {
  const gone = await serveRequests(() => {});
  await gone[Symbol.asyncDispose]();
  await using connection = connect({ ...plainBrokerConfig(HUB), proxy: gone.proxy });

  const said = await eventually(() => connection.reasons[0]);

  expect(said).toStartWith(
    `No connection to ${HUB} through the proxy ${gone.proxy.name} of test: `,
  );
  expect(said).toContain(": connect ECONNREFUSED");
});

test("a proxy that never answers is given up, and holds no stop up", async () => {
  await using served = await serveRequests(() => {});
  const waiting = openTunnel(served.proxy, HUB, { timeoutMs: 200 });
  expect(waiting).rejects.toThrow(`${served.proxy.name} of test: no answer within 0.2 s`);
  await waiting.catch(() => {});
  const connection = connect({ ...plainBrokerConfig(HUB), proxy: served.proxy });
  await eventually(() => served.sockets.length === 2);

  await connection[Symbol.asyncDispose]();

  expect(connection.reasons[0]).toEndWith(": the agent is stopping");
  await eventually(() => served.sockets.every((socket) => socket.readableEnded));
});

test.each(["plain text", "TLS"])(
  "a tunnel that ends at any point is a lost connection and no more: %s",
  async (kind) => {
    const tls = kind === "TLS" ? "caData: |\n" : "";
    const { texts } = await makeCertificate(folder, "DNS:hub.example");
    const config = tls === ""
      ? plainBrokerConfig(HUB)
      : parseBrokerConfig(`url: ${HUB}\n${tls}${texts.ca.replaceAll(/^/gm, "  ")}\n`);
    const greeting = http2Frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(6));
    const answer = Buffer.concat([Buffer.from(OPEN), greeting]);
    for (let length = OPEN.length; length <= answer.length; length += 5) {
      await using served = await serveRequests((socket) => socket.end(answer.subarray(0, length)));
      await using connection = connect({ ...config, proxy: served.proxy });

      const reason = await eventually(() => connection.reasons[0]);

      expect(reason).toMatch(/^(No connection established|Connection dropped)/);
    }
  },
  60_000,
);

test(
  "the agent takes the proxy of its environment, and ends over one that it cannot use",
  async () => {
    await using server = await startServer();
    await using tunnels = await serveTunnels(server.port);
    const args = ["--consumer-name=c1", "--simulate=1", `--server=${HUB}`, "--listen=127.0.0.1:0"];
    const HTTPS_PROXY = `http://agent:secret@${tunnels.proxy.name}`;
    await using agent = spawnProgram(AGENT, args, { HTTPS_PROXY });
    await using other = spawnProgram(AGENT, args, { HTTPS_PROXY: "socks5://agent:secret@proxy:1" });

    await eventually(() => server.subscriptions.length > 0, Boolean, { timeoutMs: 30_000 });

    expect(tunnels.requests[0]).toContain(`CONNECT ${HUB} HTTP/1.1`);
    expect(tunnels.requests[0]).toContain("Proxy-Authorization: Basic YWdlbnQ6c2VjcmV0\r\n");
    expect(agent.log()).toContain(tunnels.proxy.name);
    expect(await other.exited).toBe(2);
    expect(other.log()).toContain("HTTPS_PROXY: its scheme must be http");
    expect(`${agent.log()}${other.log()}`).not.toContain("secret");
  },
  60_000,
);
