/** Several servers over one database behind one address, and sources that outlive each of them. */

import { type CloudEvent, EXT } from "../../src/lib/wire/event.ts";
import { statusResync } from "./events.ts";
import { openPublisher, refused, subscribe, type Subscription } from "./grpc.ts";
import { sameDoors, type Server, startServer } from "./programs.ts";
import { startTcpProxy } from "./tcp_proxy.ts";

export interface Replicas extends AsyncDisposable {
  /** Where sources and agents find one of them. */
  sources: string;
  agents: string;
  /** Ends one, and starts it again on the same ports. */
  restart(index: number, signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Starts servers from source over a database. `args` are those of each. */
export async function startReplicas(
  databaseUrl: string,
  count: number,
  args: (index: number) => string[] = () => [],
): Promise<Replicas> {
  await using stack = new AsyncDisposableStack();
  const start = (index: number, more: string[] = []) =>
    startServer({ databaseUrl, isFromSource: true, args: [...args(index), ...more] });
  const servers = await Promise.all(Array.from({ length: count }, (_, index) => start(index)));
  stack.defer(async () => void await Promise.all(servers.map((one) => one[Symbol.asyncDispose]())));
  const balance = async (port: (server: Server) => number) =>
    stack.use(await startTcpProxy(servers.map(port)));
  const sources = await balance((server) => server.sources);
  const agents = await balance((server) => server.agents);
  const owned = stack.move();
  return {
    sources: `127.0.0.1:${sources.port}`,
    agents: `127.0.0.1:${agents.port}`,
    async restart(index, signal) {
      const old = servers[index];
      if (old === undefined) throw new Error(`There is no server ${index}`);
      await old.kill(signal);
      servers[index] = await startAgain(() => start(index, sameDoors(old)));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const START_ATTEMPTS = 20;
const START_PAUSE_MS = 500;

/** Meanwhile somebody else's connection may have been given one of its ports. */
async function startAgain(start: () => Promise<Server>): Promise<Server> {
  for (let attempt = 1;; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes("in use")) throw error;
      await Bun.sleep(START_PAUSE_MS);
    }
  }
}

const RETRY_MS = 100;
/** UNAVAILABLE, and what a client makes of a connection that is cut. */
const PASSING = new Set([1, 4, 13, 14]);

/** Publishes until it is accepted, as clients do. Throws on any other refusal. */
export async function publishUntilAccepted(address: string, event: CloudEvent): Promise<void> {
  for (let attempt = 1;; attempt++) {
    using publisher = openPublisher(address);
    const answer = await refused(publisher.publish(event, { timeoutMs: 5_000 })).catch(() => "ok");
    if (typeof answer === "string") return;
    // What was stored before its answer was lost is there.
    if (attempt > 1 && answer.details.endsWith("already exists")) return;
    if (!PASSING.has(answer.code)) {
      throw new Error(`Refused with ${answer.code}: ${answer.details}`);
    }
    await Bun.sleep(RETRY_MS);
  }
}

export interface SteadySource {
  /** All that it was told, in order, over all of its connections. */
  heard(): CloudEvent[];
  /** How often it had to connect. */
  connections(): number;
  close(): void;
}

/** What a source was told last of each resource, without those that are deleted. */
export function lastKnown(heard: CloudEvent[]): Map<string, number> {
  const known = new Map<string, number>();
  for (const { extensions, data } of heard) {
    const id = String(extensions[EXT.resourceId]);
    if (String(data).includes('"Deleted"')) known.delete(id);
    else known.set(id, Number(extensions[EXT.resourceVersion]));
  }
  return known;
}

/**
 * Subscribes as a source that comes back, and asks for what it missed, whenever its stream ends.
 *
 * It asks twice: an empty list is answered with what there is, and only one that says what it holds with what is gone.
 */
export function startSteadySource(address: string, source: string): SteadySource {
  const streams: Subscription[] = [];
  const heard = () => streams.flatMap(({ events }) => events);
  let isClosed = false;
  const follow = async () => {
    while (!isClosed) {
      try {
        const stream = await subscribe(address, { source });
        streams.push(stream);
        await stream.publish(statusResync(source, []));
        const held = [...lastKnown(heard()).keys()].map((resourceId) => ({ resourceId, hash: "" }));
        if (held.length > 0) await stream.publish(statusResync(source, held));
        await stream.ended;
        stream.close();
      } catch {
        await Bun.sleep(RETRY_MS);
      }
    }
  };
  // It never rejects.
  void follow();
  return {
    heard,
    connections: () => streams.length,
    close() {
      isClosed = true;
      for (const stream of streams) stream.close();
    },
  };
}
