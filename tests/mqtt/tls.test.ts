/** TLS towards the broker, and certificates that others replace while we work. */

import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Certificate,
  makeBriefCertificate,
  makeCertificate,
} from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle } from "../harness/events.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { testLogger } from "../harness/postgres.ts";
import { newUpdate } from "../spec/specs.ts";
import { joinAgent, known, openHub, progress } from "./hub.ts";

const TIMEOUT_MS = 120_000;
const PATIENCE = { timeoutMs: 60_000, intervalMs: 50 };
const ROTATIONS = 10;
const folder = mkdtempSync(join(tmpdir(), "maestro-mqtt-tls-"));

afterAll(() => rmSync(folder, { recursive: true }));

const make = () => makeCertificate(folder, "DNS:localhost,IP:127.0.0.1");

/** A broker that lets in who shows one of these certificates. */
async function startTlsBroker(clients: Certificate[]) {
  const own = await make();
  const caFile = join(folder, `${crypto.randomUUID()}-clients.crt`);
  writeFileSync(caFile, clients.map(({ texts }) => texts.ca).join(""));
  const broker = await startMosquitto({
    tls: { caFile, certFile: own.files.cert, keyFile: own.files.key },
  });
  return { broker, own };
}

/** Files that keep their names while what they hold is replaced, key first. */
function openFiles() {
  const base = join(folder, crypto.randomUUID());
  const paths = { cert: `${base}.crt`, key: `${base}.key` };
  const put = (from: string, to: string) => {
    copyFileSync(from, `${to}.new`);
    renameSync(`${to}.new`, to);
  };
  return {
    paths,
    putCert: ({ files }: Certificate) => put(files.cert, paths.cert),
    putKey: ({ files }: Certificate) => put(files.key, paths.key),
  };
}

const linesOf = (ca: Certificate, { cert, key }: { cert: string; key: string }) => [
  `caFile: ${ca.files.cert}`,
  `clientCertFile: ${cert}`,
  `clientKeyFile: ${key}`,
];

const named = (name: string, value = "1") =>
  bundle(value).replace('"name":"a"', `"name":"${name}"`);

test("M25: certificates rotated ten times under load lose nothing over MQTT", async () => {
  const clients = await Promise.all(Array.from({ length: ROTATIONS + 1 }, make));
  const { broker, own } = await startTlsBroker(clients);
  await using _broker = broker;
  const files = openFiles();
  const use = (index: number) => {
    files.putKey(clients[index] as Certificate);
    files.putCert(clients[index] as Certificate);
  };
  use(0);
  const connections = { server: 0, agent: 0 };
  const countIn = (side: keyof typeof connections) =>
    testLogger((line) => {
      if (/"message":"connected(?: to the broker)?"/.test(line)) connections[side]++;
    });
  const config = linesOf(own, files.paths);
  const args = ["--certificate-refresh-interval=100ms"];
  await using hub = await openHub(broker.port, { config, args, log: countIn("server") });
  const consumer = await hub.consumer();
  await using _agent = await joinAgent(broker.port, consumer, { config, log: countIn("agent") });

  let isOver = false;
  const ids: string[] = [];
  const load = (async () => {
    while (!isOver) {
      const { id } = await hub.create(consumer, { spec: named(`cm-${ids.length}`) });
      ids.push(id);
      const at = Math.floor(Math.random() * ids.length);
      const update = newUpdate(ids[at] ?? id, 0, "");
      await hub.flows.acceptor.update({ ...update, spec: named(`cm-${at}`, `${ids.length}`) });
      await Bun.sleep(5);
    }
  })();
  for (let rotation = 0; rotation <= ROTATIONS; rotation++) {
    if (rotation > 0) use(rotation);
    await eventually(
      () => connections,
      ({ server, agent }) => server > rotation && agent > rotation,
      PATIENCE,
    );
    const { length } = ids;
    await eventually(() => ids.length > length + 5);
  }
  isOver = true;
  await load;
  const ended = await eventually(
    () => progress(hub.database),
    ({ applied, total }) => applied === total,
    PATIENCE,
  );

  expect(ended.total).toBe(ids.length);
  expect(ended.total).toBeGreaterThan(ROTATIONS * 5);
}, TIMEOUT_MS);

test(
  "A94, A117: over MQTT, too, an agent whose certificate has expired goes on with the next one",
  async () => {
    const next = await make();
    const brief = await makeBriefCertificate(folder, "DNS:localhost,IP:127.0.0.1", 8);
    const expiresAt = Date.now() + 8_000;
    const { broker, own } = await startTlsBroker([brief, next]);
    await using _broker = broker;
    const files = openFiles();
    const use = (certificate: Certificate) => {
      files.putKey(certificate);
      files.putCert(certificate);
    };
    use(brief);
    await using hub = await openHub(broker.port, { config: linesOf(own, next.files) });
    const consumer = await hub.consumer();
    let connections = 0;
    const log = testLogger((line) => {
      if (line.includes('"message":"connected"')) connections++;
    });
    await using agent = await joinAgent(broker.port, consumer, {
      config: linesOf(own, files.paths),
      log,
    });
    await eventually(() => agent.readiness() === undefined);
    const before = await hub.create(consumer);
    await eventually(() => known(hub, before.id), (row) => row?.applied_version === 1);
    await Bun.sleep(Math.max(0, expiresAt + 500 - Date.now()));
    await using late = await joinAgent(broker.port, `${consumer}-late`, {
      config: linesOf(own, brief.files),
    });
    const isRefused = () => /closed|alert|reset|expired|certificate/i.test(late.readiness() ?? "");
    await eventually(isRefused, Boolean, PATIENCE);

    use(next);

    await eventually(() => connections, (count) => count > 1, PATIENCE);
    const after = await hub.create(consumer);
    await eventually(() => known(hub, after.id), (row) => row?.applied_version === 1, PATIENCE);
  },
  TIMEOUT_MS,
);

test(
  "a certificate that has come before its key changes nothing until the key is there",
  async () => {
    const [first, second] = await Promise.all([make(), make()]);
    const { broker, own } = await startTlsBroker([first, second]);
    await using _broker = broker;
    const files = openFiles();
    files.putKey(first);
    files.putCert(first);
    await using hub = await openHub(broker.port, { config: linesOf(own, files.paths) });
    const consumer = await hub.consumer();
    const lines: string[] = [];
    await using agent = await joinAgent(broker.port, consumer, {
      config: linesOf(own, files.paths),
      log: testLogger((line) => void lines.push(line)),
    });
    await eventually(() => agent.readiness() === undefined);

    files.putCert(second);
    await eventually(() =>
      lines.some((line) => line.includes("cannot use files that have changed"))
    );
    const { id } = await hub.create(consumer);
    await eventually(() => known(hub, id), (row) => row?.applied_version === 1);
    const between = lines.filter((line) => line.includes("connecting again"));
    files.putKey(second);

    await eventually(
      () => lines.some((line) => line.includes("connecting again")),
      Boolean,
      PATIENCE,
    );
    expect(between).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "a broker that is not who it should be is not talked to, and one that does not know us says so",
  async () => {
    const [known, stranger] = await Promise.all([make(), make()]);
    const { broker, own } = await startTlsBroker([known]);
    await using _broker = broker;
    const config = (authority: Certificate, client: Certificate) =>
      linesOf(authority, client.files);

    await using fooled = await joinAgent(broker.port, "c1", { config: config(stranger, known) });
    await using refused = await joinAgent(broker.port, "c2", { config: config(own, stranger) });

    const reasons = await eventually(
      () => [fooled.readiness(), refused.readiness()],
      (reasons) => reasons.every((reason) => reason !== "not connected yet"),
    );
    expect(reasons).toEqual([
      expect.stringMatching(/certificate|issuer|verify/i),
      expect.stringMatching(/closed|alert|reset|ECONNRESET|certificate/i),
    ]);
  },
  TIMEOUT_MS,
);

test("W35: an authority alone is enough for TLS, and another one is none", async () => {
  const own = await make();
  const stranger = await make();
  await using broker = await startMosquitto({
    config: [`certfile ${own.files.cert}`, `keyfile ${own.files.key}`],
  });
  const only = ({ files }: Certificate) => ({ config: [`caFile: ${files.cert}`] });
  await using _hub = await openHub(broker.port, only(own));

  await using agent = await joinAgent(broker.port, "c1", only(own));
  await using fooled = await joinAgent(broker.port, "c2", only(stranger));

  await eventually(() => agent.readiness(), (reason) => reason === undefined, PATIENCE);
  const reason = await eventually(
    () => fooled.readiness(),
    (reason) => reason !== "not connected yet",
    PATIENCE,
  );
  expect(reason).toMatch(/certificate|issuer|verify/i);
}, TIMEOUT_MS);
