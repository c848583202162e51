/** Our server as the official clients meet it: a program, with its doors and its broker. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../harness/eventually.ts";
import { type Mosquitto, startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase } from "../harness/postgres.ts";
import { sameDoors, type Server, startServer } from "../harness/programs.ts";
import { brokerFile } from "../mqtt/hub.ts";
import { type Authority, openAuthority } from "./authority.ts";
import type { OurSide, Transport } from "./peer.ts";

/** The server's name at the broker. */
const CLIENT_ID = "maestro-interop";
/** Whoever has a certificate. */
const NAMES = ["broker", "server", "agent", "source"] as const;

/** Starts a server over a database of its own; agents reach it by this transport. */
export function serveOver(transport: Transport): Promise<OurSide> {
  return serve(transport, { isSecure: false });
}

/** The same with TLS on every connection, and a certificate for everybody. */
export function serveSecurelyOver(transport: Transport): Promise<OurSide> {
  return serve(transport, { isSecure: true });
}

async function serve(
  transport: Transport,
  { isSecure }: { isSecure: boolean },
): Promise<OurSide> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  const folder = mkdtempSync(join(tmpdir(), "maestro-interop-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const authority = isSecure ? await openAuthority(folder) : undefined;
  for (const name of NAMES) await authority?.issue(name);
  const files = (name: typeof NAMES[number]) => ({
    caFile: join(folder, "ca.crt"),
    certFile: join(folder, `${name}.crt`),
    keyFile: join(folder, `${name}.key`),
  });
  /** What a client's file says of TLS. */
  const client = (name: typeof NAMES[number]) => {
    const { caFile, certFile, keyFile } = files(name);
    if (!isSecure) return [];
    return [`caFile: ${caFile}`, `clientCertFile: ${certFile}`, `clientKeyFile: ${keyFile}`];
  };
  const broker = transport === "mqtt"
    ? stack.use(await startMosquitto(isSecure ? { tls: files("broker") } : {}))
    : undefined;
  const brokerConfig = (name: typeof NAMES[number]) =>
    write(`broker-${name}.yaml`, brokerFile(broker?.port ?? 0, { lines: client(name) }));

  const args = [
    ...["--heartbeat-check-interval", "1s", "--log-level", "debug", "--client-id", CLIENT_ID],
    ...(broker === undefined ? [] : [
      ...["--message-broker-type", "mqtt"],
      ...["--message-broker-config-file", brokerConfig("server")],
      // An official agent that is asked while it reports may send its old state last, as if it were the newer.
      ...["--status-check-interval", "2s"],
    ]),
    ...(isSecure ? secureDoors(files("server"), { hasBroker: broker !== undefined }) : []),
  ];
  const log: (() => string)[] = [];
  const start = async (doors: string[] = []): Promise<Server> => {
    const options = { isFromSource: true, databaseUrl: database.url, args: [...args, ...doors] };
    const started = await startServer(options);
    log.push(started.log);
    return started;
  };
  let server = await start();
  stack.defer(async () => {
    // A frozen program does not end.
    if (server.isRunning()) process.kill(server.pid, "SIGCONT");
    await server[Symbol.asyncDispose]();
  });

  const doors = sameDoors(server);
  const stop = async () => void await server.kill("SIGTERM");
  const startAgain = async () => {
    server = await start(doors);
  };
  const owned = stack.move();
  return {
    settings: {
      TRANSPORT: transport,
      CONFIG: broker === undefined
        ? write("agents.yaml", clientFile(server.agents, client("agent")))
        : brokerConfig("agent"),
      SOURCES: write("sources.yaml", clientFile(server.sources, client("source"))),
      REST: server.rest,
    },
    deeds: {
      "stop the server": stop,
      "start the server": startAgain,
      "restart the server": async () => {
        await stop();
        await startAgain();
      },
      "freeze the server": async () => void process.kill(server.pid, "SIGSTOP"),
      "thaw the server": async () => void process.kill(server.pid, "SIGCONT"),
      "restart the broker": async () => {
        await broker?.kill("SIGKILL");
        await broker?.start();
      },
      "rotate the certificates": () => rotate(authority, broker),
    },
    log: () => log.map((read) => read()).join("\n-- started again\n"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The server's flags for TLS at its doors, and for a quick look at what was replaced. */
function secureDoors(
  { caFile, certFile, keyFile }: { caFile: string; certFile: string; keyFile: string },
  { hasBroker }: { hasBroker: boolean },
): string[] {
  return [
    ...["--certificate-refresh-interval", "200ms"],
    ...["--grpc-tls-cert-file", certFile, "--grpc-tls-key-file", keyFile],
    ...(hasBroker ? [] : [
      ...["--grpc-broker-tls-cert-file", certFile, "--grpc-broker-tls-key-file", keyFile],
      ...["--grpc-broker-client-ca-file", caFile],
    ]),
  ];
}

/** Replaces every certificate but the broker's, and waits until our server has come to the broker with its own. */
async function rotate(
  authority: Authority | undefined,
  broker: Mosquitto | undefined,
): Promise<void> {
  const connections = () => broker?.log().split(` as ${CLIENT_ID} `).length ?? 0;
  const before = connections();
  for (const name of NAMES) if (name !== "broker") await authority?.issue(name);
  if (broker !== undefined) await eventually(() => connections() > before);
}

/** The libraries can miss that a connection ended; without a time-out they then stay away for ever. */
function clientFile(port: number, lines: string[]): string {
  return [`url: 127.0.0.1:${port}`, "serverHealthinessTimeout: 4s", ...lines, ""].join("\n");
}
