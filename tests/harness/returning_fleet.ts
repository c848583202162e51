/** Many agents that come back at once, to a server that was away while sources wrote (M29). */

import type { Db } from "../../src/lib/db/connect.ts";
import { query } from "../../src/lib/db/query.ts";
import { createAcceptor } from "../../src/lib/spec/accept.ts";
import { newResource, newUpdate } from "../spec/specs.ts";
import { cpuMs } from "./cpu.ts";
import { eventually } from "./eventually.ts";
import { bundle } from "./events.ts";
import { memoryOf } from "./memory.ts";
import { sameDoors, startAgent, startServer } from "./programs.ts";

export interface ReturnOptions {
  agents: number;
  /** Processes that the agents share. */
  processes: number;
  timeoutMs: number;
  /** Bun's own flags for the server that they come back to. */
  runtimeFlags?: string[];
  /** Called right before that server starts. */
  begins?: () => Promise<void>;
}

export interface Return {
  /** From the server's start until all that was written meanwhile is applied and reported. */
  currentAfterMs: number;
  /** From the server's start until the last agent had subscribed, by the server's log. */
  subscribedAfterMs: number;
  /** The most that the server held meanwhile, and what all agents hold in the end. */
  rssMegabytes: number;
  agentsRssMegabytes: number;
  /** What the server and all agents used of the processors meanwhile, in milliseconds. */
  cpuMs: { server: number; agents: number };
}

const POLL = { intervalMs: 250 };
const idOf = (consumer: string) => `work-of-${consumer}`;

/** Gives each agent a resource, kills the server, updates all, and starts the server again. */
export async function runReturn(
  database: { db: Db; url: string },
  { agents, processes, timeoutMs, runtimeFlags = [], begins }: ReturnOptions,
): Promise<Return> {
  const { db, url } = database;
  await using stack = new AsyncDisposableStack();
  const acceptor = createAcceptor(db);
  const names = Array.from(
    { length: agents },
    (_, index) => `fleet-${index % processes}-${1 + Math.floor(index / processes)}`,
  );
  await query(
    db,
    "insert into consumers (id, name) select name, name from unnest($1::text[]) name",
    [names],
  );
  const first = await startServer({ databaseUrl: url, isFromSource: true });
  await using lost = first;
  await Promise.all(names.map((consumer) => {
    const id = idOf(consumer);
    return acceptor.create(newResource(consumer, { id, name: id, spec: named(consumer, "old") }));
  }));
  const pids: number[] = [];
  for (let index = 0; index < processes; index++) {
    const simulated = names.filter((_, at) => at % processes === index).length;
    const { pid } = stack.use(
      await startAgent({
        consumerName: `fleet-${index}`,
        isFromSource: true,
        server: `127.0.0.1:${lost.agents}`,
        args: ["--simulate", String(simulated), "--log-level", "info"],
      }),
    );
    pids.push(pid);
  }
  await untilCurrent(db, timeoutMs);

  await lost.kill("SIGKILL");
  await Promise.all(
    names.map((consumer) =>
      acceptor.update({ ...newUpdate(idOf(consumer), 1, ""), spec: named(consumer, "new") })
    ),
  );
  await begins?.();
  const agentsCpuMs = () => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const [began, beganAt, before] = [performance.now(), Date.now(), agentsCpuMs()];
  const server = stack.use(
    await startServer({
      databaseUrl: url,
      isFromSource: true,
      args: sameDoors(lost),
      runtimeFlags,
    }),
  );
  let rssMegabytes = 0;
  const sampling = setInterval(() => {
    rssMegabytes = Math.max(rssMegabytes, Math.round(memoryOf(server.pid).now));
  }, 100);
  stack.defer(() => clearInterval(sampling));
  await untilCurrent(db, timeoutMs);
  return {
    currentAfterMs: performance.now() - began,
    subscribedAfterMs: lastSubscription(server.log()) - beganAt,
    rssMegabytes,
    agentsRssMegabytes: pids.reduce((sum, pid) => sum + memoryOf(pid).now, 0),
    cpuMs: { server: cpuMs(server.pid), agents: agentsCpuMs() - before },
  };
}

function lastSubscription(log: string): number {
  const line = log.split("\n").findLast((line) => line.includes('"an agent subscribed"'));
  return line === undefined ? NaN : Date.parse(JSON.parse(line).time);
}

async function untilCurrent(db: Db, timeoutMs: number): Promise<void> {
  const text = "select count(*)::int as n from resources " +
    "where version <> observed_version or version <> applied_version";
  const behind = async () => (await query<{ n: number }>(db, text, []))[0]?.n;
  await eventually(behind, (n) => n === 0, { timeoutMs, ...POLL });
}

const named = (consumer: string, value: string) =>
  bundle(value).replace('"name":"a"', `"name":"of-${consumer}"`);
