/** Both flows and both gRPC doors in this process, over a database of their own. */

import { createAuthenticator } from "../../src/lib/access/authenticate.ts";
import { parseServerConfig } from "../../src/lib/config.ts";
import { createConsumer } from "../../src/lib/consumer/consumers.ts";
import type { Db } from "../../src/lib/db/connect.ts";
import { type GrpcServer, serveGrpc } from "../../src/lib/grpc/server.ts";
import { grpcLimits } from "../../src/lib/grpc_config.ts";
import type { Logger } from "../../src/lib/log.ts";
import { type Flows, startFlows } from "../../src/server_flows.ts";
import { createDatabase, type TestDatabase, testLogger } from "./postgres.ts";

export interface Doors extends AsyncDisposable {
  database: TestDatabase;
  db: Db;
  flows: Flows;
  /** Where sources and agents knock. */
  sources: string;
  agents: string;
  /** Closes the doors, as at shutdown. */
  close(): Promise<void>;
  /** Creates a consumer and returns its name. */
  consumer(name?: string): Promise<string>;
}

export interface DoorsOptions {
  /** More flags of the server. */
  args?: string[];
  /** A server that never hears a notification. */
  isDeaf?: boolean;
  /** Opens the doors on a database that exists. */
  database?: TestDatabase;
  /** Sources need this token. */
  adminToken?: string;
  /** Sources need a token that the keys of this file verify. */
  jwksFile?: string;
  log?: Logger;
}

/** Opens the doors on free ports. No token is asked for unless the flags say otherwise. */
export async function openDoors(options: DoorsOptions = {}): Promise<Doors> {
  await using stack = new AsyncDisposableStack();
  const database = options.database ?? stack.use(await createDatabase());
  const log = options.log ?? testLogger();
  const { adminToken, jwksFile } = options;
  const parsed = parseServerConfig([
    ...["--database-url", database.url, "--enable-jwt=false", "--grpc-authn-type=mock"],
    ...options.args ?? [],
  ], {});
  const config = adminToken === undefined && jwksFile === undefined
    ? parsed
    : { ...parsed, "grpc-authn-type": "jwt" as const };
  const jwks = jwksFile === undefined ? undefined : { file: jwksFile };
  const authenticate = createAuthenticator({ adminToken, jwks, log });
  const flows = await startFlows(stack, {
    ...{ db: database.db, config, log, authenticate },
    ...(options.isDeaf && { listen: listenDeaf }),
  });
  const common = { hostname: "127.0.0.1", port: 0, limits: grpcLimits(config), log };
  // With MQTT nobody knocks at the agents' door.
  const agents = await serveGrpc(flows.agents?.methods ?? { unary: {}, streaming: {} }, {
    ...common,
    ...(flows.agents && { rounds: flows.agents.rounds }),
  });
  const sources = await serveGrpc(flows.sources.methods, {
    ...common,
    rounds: flows.sources.rounds,
  });
  const close = closeOnce([sources, agents]);
  stack.defer(close);
  const owned = stack.move();
  return {
    database,
    db: database.db,
    flows,
    sources: `127.0.0.1:${sources.port}`,
    agents: `127.0.0.1:${agents.port}`,
    close,
    consumer: async (name) => (await createConsumer(database.db, { name })).name,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Hears nothing and says nothing. */
function listenDeaf(): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => Promise.resolve() };
}

function closeOnce(servers: GrpcServer[]): () => Promise<void> {
  let closed: Promise<unknown> | undefined;
  return async () => {
    closed ??= Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
    await closed;
  };
}
