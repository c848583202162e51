/** An outage under load: what is accepted meanwhile, how fast the rest is refused, and when all has arrived. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { connect, type Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { brokerFile } from "../mqtt/hub.ts";
import { eventually } from "./eventually.ts";
import { specEvent } from "./events.ts";
import { openPublisher } from "./grpc.ts";
import { startLonePostgres } from "./lone_postgres.ts";
import { startMosquitto } from "./mosquitto.ts";
import { type Server, startAgent, startServer } from "./programs.ts";

export interface OutageOptions {
  what: "database" | "stalled database" | "broker" | "both";
  outageMs: number;
  /** How long writes arrive before and after it. */
  aroundMs: number;
  writesPerSecond: number;
  consumers: number;
}

export interface OutageResult {
  serverExited: boolean;
  agentExited: boolean;
  calls: number;
  accepted: number;
  acceptedMeanwhile: number;
  refused: number;
  /** What else callers got than an OK or "unavailable"; empty if nothing. */
  oddities: string[];
  /** Accepted, but not reported by an agent in the end. */
  lost: number;
  slowestRefusalMs: number;
  slowestAnswerMs: number;
  isRetryAfterGiven: boolean;
  /** The most that the server used, in MB. */
  rssMaxMb: number;
  /** From the end of the outage until a write is accepted, and until everything is applied and reported. */
  acceptingAgainMs: number;
  deliveredMs: number;
  /** What the health port said in the middle of the outage. */
  livez: number;
  health: string;
}

interface Call {
  id: string | undefined;
  startedAt: number;
  endedAt: number;
  /** Undefined for an OK. */
  refusal: string | undefined;
  hasRetryAfter: boolean;
}

const TICK_MS = 20;
const UNAVAILABLE = "unavailable";
const DELIVERY_TIMEOUT_MS = 180_000;
const LONGEST_CALL_MS = 30_000;

/** Runs a server and an agent of many made-up clusters through an outage. */
export async function runOutage(options: OutageOptions): Promise<OutageResult> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startLonePostgres());
  const hasBroker = options.what === "broker" || options.what === "both";
  const broker = hasBroker ? stack.use(await startMosquitto()) : undefined;
  const folder = mkdtempSync(join(tmpdir(), "maestro-outage-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const names = Array.from({ length: options.consumers }, (_, index) => `c-${index + 1}`);
  const admin = connect(postgres.address, { maxConnections: 1, applicationName: "test" });
  for (const name of names) await createConsumer(admin, { name });
  await admin.end();
  const file = join(folder, "broker.yaml");
  writeFileSync(file, brokerFile(broker?.port ?? 0));
  const toBroker = ["--message-broker-type=mqtt", "--message-broker-config-file", file];
  const server = stack.use(
    await startServer({
      databaseUrl: postgres.url,
      isFromSource: true,
      args: broker === undefined ? [] : toBroker,
    }),
  );
  const toServer = ["--workload-source-driver=mqtt", "--workload-source-config", file];
  const agent = stack.use(
    await startAgent({
      consumerName: "c",
      isFromSource: true,
      ...(broker === undefined ? { server: `127.0.0.1:${server.agents}` } : {}),
      args: [
        ...["--simulate", String(Math.max(2, options.consumers)), "--log-level", "info"],
        ...(broker === undefined ? [] : toServer),
      ],
    }),
  );
  const load = startLoad(server, names, options.writesPerSecond);
  const memory = watchMemory(server.pid);
  await Bun.sleep(options.aroundMs);

  const beganAt = performance.now();
  if (options.what === "stalled database") postgres.stall();
  else {await Promise.all([
      hasDatabaseOutage(options) ? postgres.stop() : undefined,
      broker?.kill("SIGKILL"),
    ]);}
  const downAt = performance.now();
  await Bun.sleep(options.outageMs / 2);
  const livez = await fetch(`http://127.0.0.1:${server.health}/livez`);
  const health = await fetch(`http://127.0.0.1:${server.health}/healthcheck`);
  await Bun.sleep(options.outageMs / 2);
  if (options.what === "stalled database") postgres.resume();
  else {await Promise.all([
      hasDatabaseOutage(options) ? postgres.start() : undefined,
      broker?.start(),
    ]);}
  const upAt = performance.now();

  await Bun.sleep(options.aroundMs);
  const calls = await load.end();
  const accepted = calls.filter((call) => call.refusal === undefined);
  const db = connect(postgres.address, { maxConnections: 1, applicationName: "test" });
  stack.defer(() => db.end());
  const deliveredMs = await untilDelivered(db, accepted.length, upAt);
  const reported = new Set((await readReported(db)).map(({ id }) => id));
  const refusals = calls.filter(({ refusal }) => refusal === UNAVAILABLE);
  // A write that the outage met had perhaps waited for an overloaded machine before.
  const spent = ({ startedAt, endedAt }: Call) =>
    endedAt - (endedAt > beganAt ? Math.max(startedAt, beganAt) : startedAt);
  return {
    serverExited: !server.isRunning() || /TypeError|panic/.test(server.log()),
    agentExited: !agent.isRunning(),
    calls: calls.length,
    accepted: accepted.length,
    acceptedMeanwhile:
      accepted.filter(({ startedAt, endedAt }) => startedAt > downAt && endedAt < upAt).length,
    refused: refusals.length,
    oddities: [...new Set(calls.flatMap(({ refusal }) => refusal ?? []))].filter((one) =>
      one !== UNAVAILABLE
    ),
    lost: accepted.filter(({ id }) => id === undefined || !reported.has(id)).length,
    slowestRefusalMs: Math.round(Math.max(0, ...refusals.map(spent))),
    slowestAnswerMs: Math.round(Math.max(...calls.map(spent))),
    isRetryAfterGiven: refusals.every(({ hasRetryAfter }) => hasRetryAfter),
    rssMaxMb: memory.end(),
    acceptingAgainMs: Math.round(
      Math.min(
        ...accepted.filter(({ startedAt }) => startedAt > upAt).map(({ endedAt }) => endedAt),
      ) - upAt,
    ),
    deliveredMs,
    livez: livez.status,
    health: `${health.status} ${await health.text()}`,
  };
}

function hasDatabaseOutage({ what }: OutageOptions): boolean {
  return what !== "broker";
}

/** Sends creates at a steady pace, whatever becomes of them: half by REST, half by gRPC. */
function startLoad(
  server: Server,
  names: string[],
  perSecond: number,
): { end(): Promise<Call[]> } {
  const calls: Call[] = [];
  const underWay = new Set<Promise<void>>();
  const publishers = Array.from({ length: 4 }, () => openPublisher(`127.0.0.1:${server.sources}`));
  const began = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - began) / 1000 * perSecond);
    for (; sent < due; sent++) {
      const consumerName = names[sent % names.length] ?? "";
      const publisher = publishers[sent % publishers.length];
      const startedAt = performance.now();
      const call = sent % 2 === 0 || publisher === undefined
        ? createByRest(server.rest, consumerName)
        : createByGrpc(publisher, consumerName);
      const noted = call.then((answer) => {
        calls.push({ ...answer, startedAt, endedAt: performance.now() });
        underWay.delete(noted);
      });
      underWay.add(noted);
    }
  }, TICK_MS);
  return {
    async end() {
      clearInterval(timer);
      await Promise.all(underWay);
      for (const publisher of publishers) publisher[Symbol.dispose]();
      return calls;
    },
  };
}

type Answer = Pick<Call, "id" | "refusal" | "hasRetryAfter">;

async function createByRest(rest: string, consumerName: string): Promise<Answer> {
  const name = `r${crypto.randomUUID().slice(0, 13)}`;
  const manifest = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default" },
  };
  try {
    const response = await fetch(`${rest}/api/maestro/v1/resources`, {
      method: "POST",
      body: JSON.stringify({ consumer_name: consumerName, manifest }),
      signal: AbortSignal.timeout(LONGEST_CALL_MS),
    });
    const body = await response.json() as { id: string; reason?: string };
    const hasRetryAfter = response.headers.has("Retry-After");
    if (response.status === 201) return { id: body.id, refusal: undefined, hasRetryAfter };
    const refusal = response.status === 503 ? UNAVAILABLE : `${response.status} ${body.reason}`;
    return { id: undefined, refusal, hasRetryAfter };
  } catch (error) {
    return { id: undefined, refusal: String(error), hasRetryAfter: false };
  }
}

async function createByGrpc(
  publisher: ReturnType<typeof openPublisher>,
  consumerName: string,
): Promise<Answer> {
  const id = crypto.randomUUID();
  const data = JSON.stringify({
    manifests: [{
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: `g${id}`, namespace: "default" },
    }],
  });
  const event = specEvent({ id, consumerName, data });
  try {
    await publisher.publish(event, { timeoutMs: LONGEST_CALL_MS });
    return { id, refusal: undefined, hasRetryAfter: true };
  } catch (error) {
    const { code, details } = error as { code: number; details: string };
    return { id, refusal: code === 14 ? UNAVAILABLE : `${code} ${details}`, hasRetryAfter: true };
  }
}

function watchMemory(pid: number): { end(): number } {
  let pages = 0;
  const timer = setInterval(() => {
    try {
      pages = Math.max(pages, Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]));
    } catch {
      // It has ended, which is told elsewhere.
    }
  }, 100);
  return {
    end() {
      clearInterval(timer);
      return Math.round(pages * 4096 / 1e6);
    },
  };
}

const READ_REPORTED = "select id::text as id from resources where observed_version = version";

function readReported(db: Db): Promise<{ id: string }[]> {
  return query<{ id: string }>(db, READ_REPORTED, []);
}

async function untilDelivered(db: Db, countMin: number, since: number): Promise<number> {
  const patience = { timeoutMs: DELIVERY_TIMEOUT_MS, intervalMs: 250 };
  await eventually(
    async () => {
      const [row] = await query<{ total: number; reported: number }>(
        db,
        "select count(*)::int as total, " +
          "count(*) filter (where observed_version = version)::int as reported from resources",
        [],
      );
      return row ?? { total: 0, reported: 0 };
    },
    ({ total, reported }) => total >= countMin && total === reported,
    patience,
  )
    // What is missing is counted.
    .catch(() => {});
  return Math.round(performance.now() - since);
}
