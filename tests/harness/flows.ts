/** Both flows and both gRPC doors in this process, on a database of the test's own. */

import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import { parseServerConfig } from "../../src/lib/config.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import type { Logger } from "../../src/lib/log.ts";
import { type Flows, startFlows } from "../../src/server_flows.ts";
import { testLogger } from "./postgres.ts";

export interface RunningFlows extends AsyncDisposable {
  flows: Flows;
  sources: number;
  agents: number;
}

export interface FlowOptions {
  /** Heartbeats in milliseconds. */
  heartbeatMs?: number;
  receiveBytesMax?: number;
  log?: Logger;
}

/** Starts the flows as the server does. */
export async function runFlows(db: Db, options: FlowOptions = {}): Promise<RunningFlows> {
  await using stack = new AsyncDisposableStack();
  const log = options.log ?? testLogger();
  const config = parseServerConfig(
    ["--grpc-authn-type=mock", `--heartbeat-check-interval=${options.heartbeatMs ?? 10_000}ms`],
    {},
  );
  const flows = await startFlows(stack, {
    db,
    config,
    log,
    authenticate: () => Promise.reject(new Error("nobody is asked")),
  });
  const receiveBytesMax = options.receiveBytesMax ?? 4 * 1024 * 1024;
  const at = { hostname: "127.0.0.1", port: 0, receiveBytesMax, log };
  const sources = stack.use(await serveGrpc(flows.sources.methods, at));
  const agents = stack.use(await serveGrpc(flows.agents.methods, at));
  const owned = stack.move();
  return {
    flows,
    sources: sources.port,
    agents: agents.port,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The database with deaf ears: whatever is notified, nobody hears it. */
export function deafen(db: Db): Db {
  const silence = { unlisten: () => Promise.resolve() };
  return new Proxy(db, {
    get: (target, key) =>
      key === "listen" ? () => Promise.resolve(silence) : Reflect.get(target, key),
  });
}

/** A consumer with a name that nobody else has. */
export async function newConsumer(db: Db): Promise<string> {
  const name = `c-${crypto.randomUUID().slice(0, 8)}`;
  await createConsumer(db, { name });
  return name;
}
