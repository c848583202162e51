/** The agent's door: probes, metrics and its certificate, with a real cluster and a real server. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createContact } from "../../src/lib/kube/contact.ts";
import { createKeyedQueue } from "../../src/lib/keyed_queue.ts";
import { createAgentMetrics } from "../../src/lib/ops/agent_metrics.ts";
import { answerAgent } from "../../src/lib/ops/agent_health.ts";
import { openDoor } from "../../src/lib/ops/agent_door.ts";
import { freePort } from "../../tools/ports.ts";
import { makeCertificate } from "../harness/certificates.ts";
import { eventually } from "../harness/eventually.ts";
import { type Kubernetes, startKubernetes } from "../harness/kubernetes.ts";
import { testLogger } from "../harness/postgres.ts";
import { type Program, type Server, startAgent, startServer } from "../harness/programs.ts";
import { call, CONSUMERS } from "../e2e/client.ts";
import { openKubeconfig } from "../kube/objects.ts";

const TIMEOUT_MS = 120_000;
const CONSUMER = "watched";

const parts = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "maestro-door-"));
let cluster: Kubernetes;
let server: Server;
let agent: Program;
let port: number;

beforeAll(async () => {
  [cluster, server] = await Promise.all([
    startKubernetes().then((started) => parts.use(started)),
    startServer({ isFromSource: true }).then((started) => parts.use(started)),
  ]);
  await call(server, "POST", CONSUMERS, { name: CONSUMER });
  agent = parts.use(await joinAgent("0.0.0.0:0"));
  port = portOf(agent);
}, TIMEOUT_MS);

afterAll(async () => {
  await parts.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
}, TIMEOUT_MS);

function joinAgent(
  listen: string,
  { consumerName = CONSUMER, door = server.agents } = {},
): Promise<Program> {
  return startAgent({
    kubeconfig: cluster.kubeconfig,
    server: `127.0.0.1:${door}`,
    consumerName,
    isFromSource: true,
    args: ["--listen", listen],
  });
}

function portOf(program: Program): number {
  const line = program.log().split("\n").find((text) => text.includes('"serving"')) ?? "{}";
  return Number(JSON.parse(line)["health"]);
}

async function ask(at: number, path: string, token?: string): Promise<[number, string]> {
  const response = await fetch(`https://127.0.0.1:${at}${path}`, {
    headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    tls: { rejectUnauthorized: false },
  });
  return [response.status, await response.text()];
}

/** The certificate that a listener shows. */
function shown(at: number): Promise<{ fingerprint: string; daysLeft: number; names: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: at, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      const { fingerprint256, valid_to, subjectaltname } = socket.getPeerCertificate();
      socket.end();
      const daysLeft = (Date.parse(valid_to) - Date.now()) / 86_400_000;
      resolve({ fingerprint: fingerprint256, daysLeft, names: subjectaltname ?? "" });
    });
    socket.once("error", reject);
  });
}

test("W33: probes are answered to everybody over HTTPS, and the certificate that it makes is valid", async () => {
  expect(await eventually(() => ask(port, "/readyz"), ([status]) => status === 200))
    .toEqual([200, "ok"]);
  expect(await ask(port, "/livez")).toEqual([200, "ok"]);
  expect(await ask(port, "/healthz")).toEqual([200, "ok"]);
  expect((await ask(port, "/elsewhere"))[0]).toBe(404);
  const { daysLeft, names } = await shown(port);
  expect(daysLeft).toBeGreaterThan(365);
  expect(names).toContain("IP Address:127.0.0.1");
});

test("W33: an agent without its server is alive, not ready, and says why", async () => {
  const nobody = freePort();
  await using lonely = await joinAgent("127.0.0.1:0", { consumerName: "lonely", door: nobody });

  const at = portOf(lonely);

  const [status, reason] = await eventually(
    () => ask(at, "/readyz"),
    ([, text]) => text.includes("ECONNREFUSED"),
  );
  expect(status).toBe(503);
  expect(reason).toStartWith("the server: ");
  expect((await ask(at, "/livez"))[0]).toBe(200);
});

test("W33: metrics are for those whom the cluster lets read them", async () => {
  const admin = (await Bun.file(join(cluster.directory, "admin.token")).text()).trim();
  const limited = (await Bun.file(join(cluster.directory, "limited.token")).text()).trim();

  expect(await ask(port, "/metrics")).toEqual([401, "unauthorized: needs a bearer token\n"]);
  expect((await ask(port, "/metrics", "nonsense"))[0]).toBe(401);
  expect(await ask(port, "/metrics", limited))
    .toEqual([403, 'forbidden: needs the verb "get" on "/metrics"\n']);
  expect((await ask(port, "/metrics", admin))[0]).toBe(200);
});

test("W33: metrics have the names of the Go agent's, and tell of the connection and the backlog", async () => {
  await call(server, "POST", CONSUMERS, { name: "counted" });
  await using local = await joinAgent("127.0.0.1:0", { consumerName: "counted" });
  const at = portOf(local);

  const [, text] = await eventually(
    () => ask(at, "/metrics"),
    ([, text]) => text.includes("maestro_agent_connected 1"),
  );

  const type = "io.open-cluster-management.works.v1alpha1.manifestbundles";
  for (
    const line of [
      `cloudevents_sent_total{source="counted-work-agent",original_source="none",type="${type}",` +
      'subresource="spec",action="resync_request"} 1',
      'workqueue_depth{name="apply"} 0',
      "maestro_agent_works 0",
      "maestro_agent_waiting_reports 0",
      "maestro_agent_pending_deletions 0",
    ]
  ) expect(text).toContain(line);
  expect(text).toMatch(
    /rest_client_requests_total\{code="200",method="GET",host="127\.0\.0\.1:\d+"\} \d/,
  );
  expect(text).toMatch(/process_resident_memory_bytes \d{7,}/);
  expect(text).toMatch(/process_start_time_seconds 1\d{9}/);
});

test("W33: a certificate that is replaced is used without a restart", async () => {
  const [before, after] = await Promise.all([
    makeCertificate(folder, "DNS:localhost,IP:127.0.0.1"),
    makeCertificate(folder, "DNS:localhost,IP:127.0.0.1"),
  ]);
  const files = { cert: join(folder, "tls.crt"), key: join(folder, "tls.key") };
  const put = ({ cert, key }: typeof files) => {
    copyFileSync(cert, files.cert);
    copyFileSync(key, files.key);
  };
  put(before.files);
  await using door = await openDoor(() => new Response("ok"), {
    ...{ hostname: "127.0.0.1", port: 0, tls: files, refreshMs: 20, nowMs: Date.now },
    log: testLogger(),
  });
  const { fingerprint } = await shown(door.port);

  put(after.files);

  const now = () => shown(door.port).catch(() => undefined);
  await eventually(now, (found) => found !== undefined && found.fingerprint !== fingerprint);
  expect(await ask(door.port, "/")).toEqual([200, "ok"]);
});

test("W33: an agent that is out of touch with its cluster is not ready, and says why", async () => {
  const contact = createContact(() => performance.now());
  const kubeconfig = await Bun.file(cluster.kubeconfig).text();
  const gone = join(folder, "gone.kubeconfig");
  await Bun.write(gone, kubeconfig.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${freePort()}`));
  const away = await openKubeconfig(gone, { observe: contact.observe });
  const there = await openKubeconfig(cluster.kubeconfig, { observe: contact.observe });

  const problem = await contact.problem(away);

  expect(problem).toStartWith("Cannot reach Kubernetes at");
  expect(await contact.problem(there)).toBeUndefined();
});

test("W33: a run that never ends is seen, and then the agent is not alive", async () => {
  const released = Promise.withResolvers<undefined>();
  await using queue = createKeyedQueue(() => released.promise, {
    ...{ name: "apply", workers: 1, backoff: { firstMs: 1, factor: 1, ceilingMs: 1 } },
    log: testLogger(),
  });
  queue.add("a");
  queue.add("b");

  const state = await eventually(() => queue.state(), ({ longestRunMs }) => longestRunMs > 20);
  const answer = await answerAgent(new Request("https://agent/livez"), {
    readiness: () => undefined,
    stuck: () => state.longestRunMs > 20 ? "a pass hangs" : undefined,
    remark: () => undefined,
    metrics: () => "",
    reviewer: undefined,
  });

  expect(state).toMatchObject({ depth: 1, running: 1 });
  expect([answer.status, await answer.text()]).toEqual([503, "a pass hangs\n"]);
  released.resolve(undefined);
});

test("W33: reports that fail and connections that come back are counted", async () => {
  const metrics = createAgentMetrics(() => []);
  let isAway = true;
  const events = {
    receive: () => Promise.resolve(),
    subscribed: () => Promise.resolve(),
    disconnected() {},
  };
  let given = events;
  const connect = metrics.follow((wrapped) => {
    given = wrapped as typeof events;
    return {
      hubName: "hub",
      eventBytesMax: 1,
      publish: () => isAway ? Promise.reject(new Error("away")) : Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }, "c1");
  const broker = await connect(events);
  const type = "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request";
  const event = { id: "1", source: "agent", type, extensions: { originalsource: "maestro" } };

  await expect(broker.publish(event)).rejects.toThrow("away");
  isAway = false;
  await broker.publish(event);
  for (let connection = 0; connection < 3; connection++) await given.subscribed();

  const text = metrics.text();
  expect(text).toContain('manifestworks_processed_total{action="patch",code="PublishError"} 1');
  expect(text).toContain('manifestworks_processed_total{action="patch",code="Success"} 1');
  expect(text).toContain('cloudevents_client_reconnected_total{client_id="c1"} 2');
  expect(text).toContain('original_source="maestro"');
});
