/** Opens the gRPC doors, and gives them new certificates when their files change. */

import { createSecureContext } from "node:tls";
import type { ServerConfig } from "./lib/config.ts";
import { describeError, MaestroError } from "./lib/errors.ts";
import { watchFiles } from "./lib/fresh_files.ts";
import type { Methods } from "./lib/grpc/call.ts";
import type { Rounds } from "./lib/grpc/rounds.ts";
import { refuseWhile, startSendingAway } from "./lib/grpc/cut_off.ts";
import { type GrpcServer, serveGrpc } from "./lib/grpc/server.ts";
import { grpcLimits } from "./lib/grpc_config.ts";
import type { ServerTls } from "./lib/http2/server.ts";
import type { Logger } from "./lib/log.ts";
import type { Flows } from "./server_flows.ts";

interface DoorParts {
  config: ServerConfig;
  log: Logger;
}

/** Paths of PEM files; without a certificate a door speaks plain text. */
interface TlsPaths {
  cert: string | undefined;
  key: string | undefined;
  ca?: string | undefined;
}

interface Served {
  methods: Methods;
  rounds: Rounds;
}

/** Opens the doors that there are; `stack` closes them. Resolves to their ports, by name. */
export async function openGrpcDoors(
  stack: AsyncDisposableStack,
  flows: Flows,
  parts: DoorParts,
): Promise<Record<string, number>> {
  const { config } = parts;
  const ports: Record<string, number> = {};
  const doors: GrpcServer[] = [];
  const guarded = ({ methods, rounds }: Served): Served => {
    return { methods: refuseWhile(flows.cutOff, methods), rounds };
  };
  if (flows.agents !== undefined) {
    const agents = await openDoor(stack, guarded(flows.agents), config["grpc-broker-bindport"], {
      cert: config["grpc-broker-tls-cert-file"],
      key: config["grpc-broker-tls-key-file"],
      ca: config["grpc-broker-client-ca-file"],
    }, parts);
    ports["agents"] = agents.port;
    doors.push(agents);
  }
  if (config["enable-grpc-server"]) {
    const sources = await openDoor(
      stack,
      guarded(flows.sources),
      config["grpc-server-bindport"],
      {
        cert: config["grpc-tls-cert-file"],
        key: config["grpc-tls-key-file"],
      },
      parts,
    );
    ports["sources"] = sources.port;
    doors.push(sources);
  }
  const graceMs = config["cut-off-grace"];
  stack.use(startSendingAway(doors, flows.cutOff, { graceMs, log: parts.log }));
  return ports;
}

async function openDoor(
  stack: AsyncDisposableStack,
  { methods, rounds }: Served,
  port: number,
  paths: TlsPaths,
  { config, log }: DoorParts,
): Promise<GrpcServer> {
  const tls = await readTls(paths);
  const door = stack.use(
    await serveGrpc(methods, {
      hostname: config["server-hostname"],
      port,
      limits: grpcLimits(config),
      rounds,
      tls,
      log,
    }),
  );
  if (tls === undefined) return door;
  const renew = async () => {
    const renewed = await readTls(paths);
    if (renewed !== undefined) door.setTls(renewed);
  };
  const files = Object.values(paths).filter((path) => path !== undefined);
  stack.use(
    watchFiles(files, { intervalMs: config["certificate-refresh-interval"], log }, async () => {
      await renew();
      log.info("new certificates are in use", { files: files.join(", ") });
    }),
  );
  // They may have changed between the first reading and the watch.
  await renew();
  return door;
}

/**
 * Reads PEM files; undefined without a certificate. Throws `invalid_argument` that names the file that cannot be
 * read, or the pair that does not fit.
 */
export async function readTls({ cert, key, ca }: TlsPaths): Promise<ServerTls | undefined> {
  if (cert === undefined || key === undefined) return undefined;
  const pair = { cert: await readText(cert), key: await readText(key) };
  const tls = ca === undefined ? pair : { ...pair, ca: await readText(ca) };
  try {
    createSecureContext(tls);
  } catch (cause) {
    const reason = `Cannot use "${cert}" with the key "${key}": ${describeError(cause)}`;
    throw new MaestroError("invalid_argument", reason, { cause });
  }
  return tls;
}

async function readText(path: string): Promise<string> {
  try {
    return await Bun.file(path).text();
  } catch (cause) {
    throw new MaestroError("invalid_argument", `Cannot read "${path}": ${describeError(cause)}`);
  }
}
