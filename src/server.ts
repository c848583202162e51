/** The server, top to bottom: the database, the two flows, the doors. */

import { chooseDatabase } from "./database_choice.ts";
import { createAdminToken } from "./lib/access/admin_token.ts";
import { createAuthenticator } from "./lib/access/authenticate.ts";
import { parseServerConfig, type ServerConfig } from "./lib/config.ts";
import { openDatabase } from "./lib/db/open.ts";
import { refuseWhile } from "./lib/grpc/cut_off.ts";
import { statusOf } from "./lib/grpc/errors.ts";
import type { Logger } from "./lib/log.ts";
import { createMetrics } from "./lib/metrics.ts";
import { serveHealth } from "./lib/ops/health.ts";
import { serveMetrics } from "./lib/ops/metrics.ts";
import { createRestApp } from "./lib/rest/app.ts";
import { serveRest } from "./lib/rest/serve.ts";
import { createWatchers } from "./lib/rest/watch.ts";
import { createSpecDoor } from "./lib/spec/door.ts";
import { VERSION } from "./lib/version.ts";
import { endInTime, openLog } from "./program.ts";
import { startFlows } from "./server_flows.ts";
import { openGrpcDoors, readTls } from "./server_grpc.ts";

/** Runs the server until `stopped` resolves. Throws a `MaestroError` if it cannot start. */
export async function runServer(args: readonly string[], stopped: Promise<string>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const config = parseServerConfig(args, Bun.env);
  const log = openLog(config["log-level"]);

  // The database first: every other part reads or writes it.
  const choice = chooseDatabase(config);
  const database = stack.use(await openDatabase(choice, log));
  const isOurs = choice.address === undefined;
  const admin = isOurs ? await createAdminToken(choice.stateDirectory) : undefined;
  const authenticate = createAuthenticator({
    jwks: jwksSource(config),
    adminToken: admin?.token,
    log,
  });

  // The two flows, then the doors in the order in which their users need them: agents and sources, and
  // last the front door. It closes first.
  const flows = await startFlows(stack, { db: database.db, config, log, authenticate });
  const ports = await openGrpcDoors(stack, flows, { config, log });
  const metrics = createMetrics();
  const watchers = createWatchers(database.db, log, {
    feed: flows.feed,
    watchersMax: config["watchers-max"],
  });
  const app = createRestApp({
    db: database.db,
    spec: createSpecDoor(database.db, flows.acceptor, log, { sourceId: config["source-id"] }),
    authenticate: config["enable-jwt"] ? authenticate : undefined,
    log,
    metrics,
    sourceId: config["source-id"],
    watchers,
    bodyTimeoutMs: config["http-body-timeout"],
    limits: { requestsMax: config["http-requests-max"] },
    allowedOrigins: config["cors-allowed-origins"],
    cloudEvents: config["enable-grpc-server"]
      ? { ...refuseWhile(flows.cutOff, flows.sources.methods), statusOf }
      : undefined,
  });
  const hostname = config["server-hostname"];
  const metricsPort = config["metrics-server-bindport"];
  stack.use(serveMetrics(metrics, { hostname, port: metricsPort }));
  const files = { cert: config["https-cert-file"], key: config["https-key-file"] };
  const tls = config["enable-https"] ? await readTls(files) : undefined;
  const rest = stack.use(serveRest(app, { hostname, port: config["http-server-bindport"], tls }));
  // Before the door closes, which waits for the requests under way.
  stack.defer(() => watchers.close());
  const healthPort = config["health-check-server-bindport"];
  const health = stack.use(serveHealth(flows.readiness, { hostname, port: healthPort }));
  const url = `${tls === undefined ? "http" : "https"}://${hostname}:${rest.port}`;
  log.info("serving", { version: VERSION, rest: url, ...ports, health: health.port });
  warnOpenDoors(config, log);
  if (admin !== undefined) greet(url, admin.path);

  const reason = await Promise.race([stopped, database.lost]);
  if (reason instanceof Error) throw reason;
  log.info("stopping", { reason });
  endInTime(log);
}

function jwksSource(config: ServerConfig) {
  const file = config["jwk-cert-file"];
  const url = config["jwk-cert-url"];
  return file !== undefined ? { file } : url !== undefined ? { url } : undefined;
}

function warnOpenDoors(config: ServerConfig, log: Logger): void {
  if (!config["enable-jwt"]) log.warn("REST asks for no token (--enable-jwt=false)");
  if (config["grpc-authn-type"] === "mock") {
    log.warn("gRPC asks sources for no token (--grpc-authn-type=mock)");
  }
  const isBroker = config["message-broker-type"] === "grpc";
  if (isBroker && config["grpc-broker-client-ca-file"] === undefined) {
    log.warn("gRPC asks agents for no certificate (--grpc-broker-client-ca-file)");
  }
}

/** What a person needs next. Never the token itself: terminals are recorded. */
function greet(url: string, tokenPath: string): void {
  process.stdout.write(
    `Maestro ${VERSION} serves REST on ${url}. The admin token is in ${tokenPath}. Try:\n` +
      `  curl -H "Authorization: Bearer $(cat ${tokenPath})" ${url}/api/maestro/v1/resources\n`,
  );
}
