/** The broker of the demo: the server's own over gRPC, or mosquitto between the two. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "./child.ts";
import { accepts, freePort } from "./ports.ts";

export interface DemoBroker {
  serverFlags: string[];
  /** The way of an agent to a server that serves agents on this port. */
  agentFlags: (agentsPort: number | undefined) => string[];
}

export interface BrokerOptions {
  isMqtt: boolean;
  state: string;
  say: (line: string) => void;
}

const START_TIMEOUT_MS = 10_000;

/** Starts mosquitto if it is asked for. Throws a sentence that says how to get it. */
export async function startDemoBroker(
  stack: AsyncDisposableStack,
  { isMqtt, state, say }: BrokerOptions,
): Promise<DemoBroker> {
  if (!isMqtt) {
    return {
      serverFlags: [],
      agentFlags: (port) => ["--server", `127.0.0.1:${port}`],
    };
  }
  // Debian installs daemons where only root looks.
  const program = Bun.which("mosquitto", { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` });
  if (program === null) {
    throw new Error(
      "Cannot find mosquitto, the broker that --mqtt needs: install it (Debian and Ubuntu: " +
        "apt-get install mosquitto; macOS: brew install mosquitto), or leave out --mqtt",
    );
  }
  const folder = join(state, "mosquitto");
  await mkdir(folder, { recursive: true });
  const port = freePort();
  const settings = join(folder, "mosquitto.conf");
  // Without no-delay an event waits 35 ms for the acknowledgement of the one before.
  await writeFile(
    settings,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n`,
  );
  const broker = stack.use(startChild([program, "-c", settings], process.env));
  await untilListening(port, broker);
  say(`The broker is mosquitto, on 127.0.0.1:${port}`);
  const config = join(folder, "broker.yaml");
  await writeFile(
    config,
    [
      `brokerHost: 127.0.0.1:${port}`,
      "topics:",
      "  sourceEvents: sources/maestro/consumers/+/sourceevents",
      "  agentEvents: sources/maestro/consumers/+/agentevents",
      "",
    ].join("\n"),
  );
  return {
    serverFlags: ["--message-broker-type", "mqtt", "--message-broker-config-file", config],
    agentFlags: () => ["--workload-source-driver", "mqtt", "--workload-source-config", config],
  };
}

async function untilListening(
  port: number,
  broker: { lines(): AsyncIterable<string> },
): Promise<void> {
  const complaints: string[] = [];
  const read = async () => {
    for await (const line of broker.lines()) complaints.push(line);
  };
  // A stream that breaks ends the list; that nobody listens tells more.
  read().catch(() => {});
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!await accepts(port)) {
    if (performance.now() > deadline) {
      throw new Error(`mosquitto does not start: ${complaints.join("; ")}`);
    }
    await Bun.sleep(20);
  }
}
