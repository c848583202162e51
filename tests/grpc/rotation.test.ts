/** Certificates that are replaced while everything runs, on both ends of the agents' door. */

import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query } from "../../src/lib/db/query.ts";
import { openAgentBroker } from "../../src/lib/grpc/agent_broker.ts";
import { parseBrokerConfig } from "../../src/lib/grpc/agent_broker_config.ts";
import { createSimulatedKube } from "../../src/lib/kube/simulated.ts";
import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import { encodeEvent } from "../../src/lib/wire/protobuf.ts";
import { startWorkAgent } from "../../src/lib/work/agent.ts";
import {
  type Certificate,
  makeBriefCertificate,
  makeCertificate,
} from "../harness/certificates.ts";
import { specEvent } from "../harness/events.ts";
import { eventually } from "../harness/eventually.ts";
import { openPublisher } from "../harness/grpc.ts";
import { createDatabase, testLogger } from "../harness/postgres.ts";
import { startServer as startProgram } from "../harness/programs.ts";
import { connect, event, startServer } from "./both_ends.ts";

const ROTATIONS = 10;
const folder = await mkdtemp(join(tmpdir(), "maestro-rotation-"));

afterAll(() => rm(folder, { recursive: true }));

const make = () => makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");

/** Files that keep their names while what they hold is replaced. */
function openFiles() {
  const base = join(folder, crypto.randomUUID());
  const paths = { ca: `${base}-ca.crt`, cert: `${base}.crt`, key: `${base}.key` };
  const put = async (path: string, text: string) => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  return {
    paths,
    putCert: (text: string) => put(paths.cert, text),
    putKey: (text: string) => put(paths.key, text),
    /** Whom to trust. */
    trust: (...authorities: Certificate[]) =>
      put(paths.ca, authorities.map(({ texts }) => texts.ca).join("")),
    async use({ texts }: Certificate) {
      await put(paths.cert, texts.cert);
      await put(paths.key, texts.key);
    },
  };
}

function configOf(port: number, { ca, cert, key }: { ca: string; cert: string; key: string }) {
  return parseBrokerConfig(
    `url: localhost:${port}\ncaFile: ${ca}\nclientCertFile: ${cert}\nclientKeyFile: ${key}\n`,
  );
}

test("an agent whose certificate is replaced connects anew, and what is under way is accepted", async () => {
  const [own, first, second] = await Promise.all([make(), make(), make()]);
  const trusted = { ...own.texts, ca: first.texts.ca + second.texts.ca };
  await using server = await startServer({ tls: trusted });
  const files = openFiles();
  await files.trust(own);
  await files.use(first);
  await using connection = connect(configOf(server.port, files.paths));
  await eventually(() => connection.subscribed === 1);
  const gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const underWay = connection.broker.publish(event("under way"));
  await eventually(() => server.asked === 1);

  await files.use(second);
  await eventually(() => connection.subscribed === 2);
  gate.resolve();
  await underWay;
  await connection.broker.publish(event("later"));

  expect(server.published.map(({ id }) => id)).toEqual(["under way", "later"]);
  expect(connection.reasons).toEqual(["the certificates have changed"]);
});

test(
  "A94, A117: an agent whose certificate has expired goes on with the one that replaces it",
  async () => {
    const [own, next] = await Promise.all([make(), make()]);
    const brief = await makeBriefCertificate(folder, "DNS:localhost,IP:127.0.0.1", 5);
    const expiresAt = Date.now() + 5_000;
    await using server = await startServer({
      tls: { ...own.texts, ca: brief.texts.ca + next.texts.ca },
    });
    const files = openFiles();
    await files.trust(own);
    await files.use(brief);
    await using connection = connect(configOf(server.port, files.paths));
    await eventually(() => connection.subscribed === 1);
    await connection.broker.publish(event("before"));
    await Bun.sleep(Math.max(0, expiresAt + 500 - Date.now()));
    // Whoever comes with it now is not let in.
    await using late = connect(configOf(server.port, { ca: files.paths.ca, ...brief.files }));
    await eventually(() => late.reasons.length > 0);

    await files.use(next);

    await eventually(() => connection.subscribed === 2);
    await connection.broker.publish(event("after"));
    server.streams.at(-1)?.write(encodeEvent(event("a later update")));
    await eventually(() => connection.received.length === 1);
    expect(late.subscribed).toBe(0);
    expect(server.published.map(({ id }) => id)).toEqual(["before", "after"]);
  },
  15_000,
);

test("a certificate that has come before its key changes nothing until the key is there", async () => {
  const [own, first, second] = await Promise.all([make(), make(), make()]);
  const { cert, key } = own.texts;
  await using server = await startServer({ tls: { cert, key } });
  const files = openFiles();
  await files.trust(own);
  await files.use(first);
  await using connection = connect(configOf(server.port, files.paths));
  await eventually(() => connection.subscribed === 1);

  await files.putCert(second.texts.cert);
  await Bun.sleep(300);
  const between = [...connection.reasons];
  await files.putKey(second.texts.key);

  await eventually(() => connection.subscribed === 2);
  expect(between).toEqual([]);
});

test("with an authority for clients, an agent without its certificate is not let in", async () => {
  const [own, agent, stranger] = await Promise.all([make(), make(), make()]);
  await using server = await startServer({ tls: { ...own.texts, ca: agent.texts.ca } });
  const files = openFiles();
  await files.trust(own);
  await files.use(stranger);
  await using unknown = connect(configOf(server.port, files.paths));
  await using nameless = connect(
    parseBrokerConfig(`url: localhost:${server.port}\ncaFile: ${files.paths.ca}\n`),
  );
  await eventually(() => unknown.reasons.length > 0 && nameless.reasons.length > 0);
  const before = [...server.subscriptions];

  await files.use(agent);

  await eventually(() => unknown.subscribed === 1);
  expect(before).toEqual([]);
  expect(nameless.subscribed).toBe(0);
});

test("M25: certificates rotated ten times under load lose nothing", async () => {
  await using database = await createDatabase();
  const consumerName = "rotating";
  await database.db`insert into consumers (id, name) values (${consumerName}, ${consumerName})`;
  let [serving, calling] = await Promise.all([make(), make()]);
  const [atServer, atAgent] = [openFiles(), openFiles()];
  await Promise.all([atServer.use(serving), atAgent.use(calling)]);
  await Promise.all([atServer.trust(calling), atAgent.trust(serving)]);
  const { cert, key, ca } = atServer.paths;
  await using server = await startProgram({
    databaseUrl: database.url,
    isFromSource: true,
    args: [
      ...["--certificate-refresh-interval", "100ms", "--grpc-broker-client-ca-file", ca],
      ...["--grpc-broker-tls-cert-file", cert, "--grpc-broker-tls-key-file", key],
      ...["--grpc-tls-cert-file", cert, "--grpc-tls-key-file", key],
    ],
  });
  const config = configOf(server.agents, atAgent.paths);
  const log = testLogger();
  let connections = 0;
  await using _agent = await startWorkAgent(
    createSimulatedKube(),
    (events) =>
      openAgentBroker(config, {
        ...events,
        async subscribed(connection) {
          await events.subscribed(connection);
          connections++;
        },
      }, { consumerName, dataTypes: [MANIFEST_BUNDLES], tlsRefreshMs: 100, log }),
    log,
    {
      ...{ consumerName, agentId: "agent", agentVersion: "test", dataTypes: [MANIFEST_BUNDLES] },
      ...{ statusSyncIntervalMs: 1_000, workers: 10, jsonRawBytesMax: 1024, nowMs: Date.now },
    },
  );
  await eventually(() => connections === 1);
  const accepted: string[] = [];
  const load = new AbortController();
  const flow = async () => {
    while (!load.signal.aborted) {
      // A new handshake now and then, with whoever is trusted by then.
      using publisher = openPublisher(`localhost:${server.sources}`, { ca: serving.texts.ca });
      for (let count = 0; count < 10 && !load.signal.aborted; count++) {
        const id = crypto.randomUUID();
        const isAccepted = await publisher.publish(specEvent({ id, consumerName }))
          .then(() => "accepted", () => undefined);
        if (isAccepted === undefined) break;
        accepted.push(id);
        await Bun.sleep(10);
      }
    }
  };
  const flows = [flow(), flow()];
  const renewals = () => server.log().split("new certificates are in use").length - 1;

  for (let rotation = 0; rotation < ROTATIONS; rotation++) {
    const [nextServing, nextCalling] = await Promise.all([make(), make()]);
    const before = { renewals: renewals(), connections, accepted: accepted.length };
    // Both trust the next before anybody shows it. The last but one is trusted no more.
    await Promise.all([
      atServer.trust(calling, nextCalling),
      atAgent.trust(serving, nextServing),
    ]);
    await eventually(() => renewals() > before.renewals && connections > before.connections);
    [serving, calling] = [nextServing, nextCalling];
    const trusted = { renewals: renewals(), connections };
    await Promise.all([atServer.use(serving), atAgent.use(calling)]);
    await eventually(() => renewals() > trusted.renewals && connections > trusted.connections);
    await eventually(() => accepted.length > before.accepted + 10);
  }
  load.abort();
  await Promise.all(flows);

  const unreported = async () => {
    const rows = await query<{ id: string }>(
      database.db,
      "select id from resources where applied_version = version",
      [],
    );
    const applied = new Set(rows.map(({ id }) => id));
    return accepted.filter((id) => !applied.has(id));
  };
  await eventually(unreported, (ids) => ids.length === 0, { timeoutMs: 30_000 });
  expect(accepted.length).toBeGreaterThan(ROTATIONS * 10);
}, 120_000);
