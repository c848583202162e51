/** A server that lives but cannot use its database: it says so, takes no work, and lets its clients go. */

import { connect as dial, createServer } from "node:net";
import { expect, test } from "bun:test";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { connect } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { freePort } from "../../tools/ports.ts";
import { eventually } from "../harness/eventually.ts";
import { bundle, specEvent, statusEvent } from "../harness/events.ts";
import { publish, refusal, refused, subscribe } from "../harness/grpc.ts";
import { type LonePostgres, startLonePostgres } from "../harness/lone_postgres.ts";
import { startAgent, startServer } from "../harness/programs.ts";
import { startTcpProxy } from "../harness/tcp_proxy.ts";

const UNAVAILABLE = 14;
const TIMEOUT_MS = 120_000;
const PATIENCE = { timeoutMs: 30_000 };

async function addConsumer(postgres: LonePostgres, name: string): Promise<void> {
  const admin = connect(postgres.address, { maxConnections: 1, applicationName: "test" });
  await createConsumer(admin, { name });
  await admin.end();
}

function through(postgres: LonePostgres, port: number): string {
  return postgres.url.replace(`:${postgres.address.port}/`, `:${port}/`);
}

async function healthOf(port: number): Promise<{ livez: number; status: number; body: string }> {
  const livez = await fetch(`http://127.0.0.1:${port}/livez`);
  const health = await fetch(`http://127.0.0.1:${port}/healthcheck`);
  return { livez: livez.status, status: health.status, body: await health.text() };
}

/** One port for several servers, each in its turn, as a Kubernetes service is. */
async function startBalancer(ports: number[]): Promise<AsyncDisposable & { port: number }> {
  let turn = 0;
  const server = createServer((client) => {
    const upstream = dial(ports[turn++ % ports.length] ?? 0, "127.0.0.1");
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      from.on("data", (bytes) => void to.write(bytes));
      from.on("close", () => to.destroy());
      // The other side learns of it by the close that follows.
      from.on("error", () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

test(
  "M11: cut off from the database, a server says so, refuses in time, and ends streams after a grace",
  async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startLonePostgres());
    const port = freePort();
    const proxy = stack.use(await startTcpProxy(postgres.address.port, { port }));
    await addConsumer(postgres, "c1");
    const server = stack.use(
      await startServer({
        databaseUrl: through(postgres, port),
        isFromSource: true,
        args: ["--cut-off-grace", "4s"],
      }),
    );
    const agents = `127.0.0.1:${server.agents}`;
    const sources = `127.0.0.1:${server.sources}`;
    const agent = stack.use(await subscribe(agents, { clusterName: "c1" }));
    const source = stack.use(await subscribe(sources, { source: "tests" }));
    const before = await healthOf(server.health);

    // Half-open: nothing answers, and nothing is closed.
    proxy.freeze();
    const began = performance.now();
    const post = await fetch(`${server.rest}/api/maestro/v1/consumers`, {
      method: "POST",
      body: '{"name":"c2"}',
    });
    const postMs = performance.now() - began;
    const spec = await refusal(sources, specEvent({ id: crypto.randomUUID(), consumerName: "c1" }));
    const report = await refusal(
      agents,
      statusEvent({ id: crypto.randomUUID(), consumerName: "c1" }),
    );
    const cutOff = await healthOf(server.health);
    const newAgent = await refused(subscribe(agents, { clusterName: "c1" }));
    const newSource = await refused(subscribe(sources, { source: "others" }));
    const stayed = await Promise.race([agent.ended, source.ended, Bun.sleep(500)]);
    const [agentEnd, sourceEnd] = await Promise.all([agent.ended, source.ended]);

    await proxy[Symbol.asyncDispose]();
    stack.use(await startTcpProxy(postgres.address.port, { port }));
    await eventually(async () => (await healthOf(server.health)).status === 200, Boolean, PATIENCE);
    const again = stack.use(await subscribe(agents, { clusterName: "c1" }));
    const id = crypto.randomUUID();
    await publish(sources, specEvent({ id, consumerName: "c1" }));
    await again.waitFor(({ extensions }) => extensions["resourceid"] === id);

    expect(before).toEqual({ livez: 200, status: 200, body: '{"status": "ok"}' });
    expect([post.status, post.headers.get("Retry-After")]).toEqual([503, "1"]);
    expect(postMs).toBeLessThan(2_000);
    expect([spec, report, newAgent, newSource].map(({ code }) => code))
      .toEqual(Array(4).fill(UNAVAILABLE));
    for (const { details } of [spec, report, newAgent, newSource]) {
      expect(details).toContain("database");
    }
    expect(cutOff).toMatchObject({ livez: 200, status: 503 });
    // Whichever shows first: a connection that says nothing, or a new one that is not made.
    expect(cutOff.body)
      .toMatch(/the database cannot be used: (nothing was heard for|.*CONNECT_TIMEOUT)/);
    expect(stayed).toBeUndefined();
    expect([agentEnd.code, sourceEnd.code]).toEqual([UNAVAILABLE, UNAVAILABLE]);
    expect(server.isRunning()).toBeTrue();
  },
  TIMEOUT_MS,
);

test(
  "an agent whose server is cut off moves to one that is not, and gets its work there",
  async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startLonePostgres());
    const proxy = stack.use(await startTcpProxy(postgres.address.port));
    await addConsumer(postgres, "c1");
    const start = async (databaseUrl: string) =>
      stack.use(
        await startServer({ databaseUrl, isFromSource: true, args: ["--cut-off-grace", "1s"] }),
      );
    const [first, second] = await Promise.all([
      start(through(postgres, proxy.port)),
      start(postgres.url),
    ]);
    const balancer = stack.use(await startBalancer([first.agents, second.agents]));
    const agent = stack.use(
      await startAgent({
        consumerName: "c1",
        server: `127.0.0.1:${balancer.port}`,
        isFromSource: true,
        args: ["--simulate", "1"],
      }),
    );
    await eventually(() => first.log().includes("an agent subscribed"), Boolean, PATIENCE);

    const db = stack.adopt(
      connect(postgres.address, { maxConnections: 1, applicationName: "test" }),
      (db) => db.end(),
    );
    const applied = async () =>
      (await query(db, "select 1 from resources where applied_version = 1", [])).length;
    const sources = `127.0.0.1:${second.sources}`;
    const create = (name: string) => {
      const data = bundle().replace('"name":"a"', `"name":"${name}"`);
      return publish(sources, specEvent({ id: crypto.randomUUID(), consumerName: "c1", data }));
    };
    await create("first");
    // Then the first server has answered all that its agent asked.
    await eventually(applied, (count) => count === 1, PATIENCE);

    proxy.freeze();
    await create("second");
    await eventually(applied, (count) => count === 2, PATIENCE);

    expect(second.log()).toContain("an agent subscribed");
    expect(first.log()).toContain("clients are sent to other servers");
    expect([first.isRunning(), agent.isRunning()]).toEqual([true, true]);
  },
  TIMEOUT_MS,
);

test(
  "a server whose database is not there ends with one sentence, and its agent keeps trying",
  async () => {
    await using stack = new AsyncDisposableStack();
    const postgres = stack.use(await startLonePostgres());
    const silent = stack.use(await startTcpProxy(postgres.address.port));
    silent.freeze();
    const port = freePort();
    const agent = stack.use(
      await startAgent({
        consumerName: "c1",
        server: `127.0.0.1:${port}`,
        isFromSource: true,
        args: ["--simulate", "1"],
      }),
    );
    await addConsumer(postgres, "c1");
    const url = (of: number) => through(postgres, of);
    const began = performance.now();
    const ends = await Promise.all(
      [freePort(), silent.port].map((of) =>
        startServer({ databaseUrl: url(of), isFromSource: true }).then(
          async (server) => (await server[Symbol.asyncDispose](), "it serves"),
          (error: Error) => error.message,
        )
      ),
    );
    const endMs = performance.now() - began;
    const args = ["--grpc-broker-bindport", String(port)];
    const server = stack.use(
      await startServer({ databaseUrl: postgres.url, isFromSource: true, args }),
    );
    await eventually(
      () => server.log().includes("an agent subscribed"),
      Boolean,
      PATIENCE,
    );

    for (const end of ends) {
      expect(end).toMatch(
        /ended before it served.*\n.*Cannot reach the database/,
      );
    }
    expect(endMs).toBeLessThan(20_000);
    expect(agent.isRunning()).toBeTrue();
  },
  TIMEOUT_MS,
);
