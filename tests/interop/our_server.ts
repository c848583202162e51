/** Our server as the official clients meet it: a program, with its doors and its broker. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startMosquitto } from "../harness/mosquitto.ts";
import { createDatabase } from "../harness/postgres.ts";
import { sameDoors, type Server, startServer } from "../harness/programs.ts";
import { brokerFile } from "../mqtt/hub.ts";
import type { OurSide, Transport } from "./peer.ts";

/** Starts a server over a database of its own; agents reach it by this transport. */
export async function serveOver(transport: Transport): Promise<OurSide> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createDatabase());
  const folder = mkdtempSync(join(tmpdir(), "maestro-interop-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const broker = transport === "mqtt" ? stack.use(await startMosquitto()) : undefined;
  const brokerConfig = write("broker.yaml", broker === undefined ? "" : brokerFile(broker.port));
  const args = ["--heartbeat-check-interval", "1s", "--log-level", "debug"];
  if (broker !== undefined) {
    args.push("--message-broker-type=mqtt", "--message-broker-config-file", brokerConfig);
  }
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
      CONFIG: broker === undefined ? write("agents.yaml", clientFile(server.agents)) : brokerConfig,
      SOURCES: write("sources.yaml", clientFile(server.sources)),
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
    },
    log: () => log.map((read) => read()).join("\n-- started again\n"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The libraries can miss that a connection ended; without a time-out they then stay away for ever. */
function clientFile(port: number): string {
  return `url: 127.0.0.1:${port}\nserverHealthinessTimeout: 4s\n`;
}
