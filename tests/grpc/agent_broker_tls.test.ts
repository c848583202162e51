/** The agent's connection over TLS: by name, by address, and never to a stranger. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { connect, event, startServer } from "./both_ends.ts";

const folder = await mkdtemp(join(tmpdir(), "maestro-tls-"));

afterAll(() => rm(folder, { recursive: true }));

test.each(["localhost", "127.0.0.1"])("a server is known by its certificate: %s", async (host) => {
  const { files, texts } = await makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");
  await using server = await startServer({ tls: texts });
  await using connection = connect(parseBrokerConfig(
    `url: ${host}:${server.port}
token: secret
caFile: ${files.cert}
clientCertFile: ${files.cert}
clientKeyFile: ${files.key}
`,
  ));

  await eventually(() => connection.subscribed === 1);
  await connection.broker.publish(event("1"));

  expect(server.tokens).toEqual(["Bearer secret"]);
  expect(server.published.map(({ id }) => id)).toEqual(["1"]);
});

test.each([["localhost", "DNS:other"], ["127.0.0.1", "DNS:localhost,IP:127.0.0.2"]])(
  "a server at %s with a certificate for %s is refused",
  async (host, names) => {
    const { files, texts } = await makeCertificate(folder, names);
    await using server = await startServer({ tls: texts });
    const client = `clientCertFile: ${files.cert}\nclientKeyFile: ${files.key}`;
    await using connection = connect(
      parseBrokerConfig(`url: ${host}:${server.port}\ncaFile: ${files.cert}\n${client}\n`),
    );

    const reason = await eventually(() => connection.reasons[0]);

    expect(reason).toContain("does not match certificate's altnames");
    expect(server.subscriptions).toEqual([]);
  },
);
