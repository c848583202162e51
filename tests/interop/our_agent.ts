/** Our agent as official sources meet it: a program, with a made-up or a real cluster. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../tools/ports.ts";
import { startKubernetes } from "../harness/kubernetes.ts";
import { startMosquitto } from "../harness/mosquitto.ts";
import { startAgent } from "../harness/programs.ts";
import { brokerFile } from "../mqtt/hub.ts";
import type { OurSide, Transport } from "./peer.ts";

/** How sources and agents reach all of each other; our server asks agents one by one instead. */
const BROADCASTS = [
  "  sourceBroadcast: sources/+/sourcebroadcast",
  "  agentBroadcast: clusters/+/agentbroadcast",
  "",
].join("\n");

/** Starts an agent whose way to its source leads over a port that the peer opens. Its cluster is made up. */
export function agentOver(transport: Transport): Promise<OurSide> {
  return startOver(transport, { isReal: false });
}

/** The same on a real Kubernetes. */
export function agentOnKubernetesOver(transport: Transport): Promise<OurSide> {
  return startOver(transport, { isReal: true });
}

async function startOver(
  transport: Transport,
  { isReal }: { isReal: boolean },
): Promise<OurSide> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "maestro-interop-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const cluster = `cluster-${crypto.randomUUID()}`;
  const port = freePort();
  const broker = transport === "mqtt" ? stack.use(await startMosquitto()) : undefined;
  const config = transport === "mqtt"
    ? brokerFile(port) + BROADCASTS
    : `url: 127.0.0.1:${port}\nserverHealthinessTimeout: 3s\n`;
  const kubeconfig = isReal ? stack.use(await startKubernetes()).kubeconfig : undefined;
  const agent = stack.use(
    await startAgent({
      isFromSource: true,
      consumerName: cluster,
      args: [
        ...(kubeconfig === undefined ? ["--simulate", "1"] : ["--kubeconfig", kubeconfig]),
        ...["--workload-source-driver", transport],
        ...["--workload-source-config", write("agent.yaml", config)],
      ],
    }),
  );
  const owned = stack.move();
  return {
    settings: {
      TRANSPORT: transport,
      CLUSTER: cluster,
      LISTEN: `127.0.0.1:${port}`,
      ...(broker !== undefined && {
        BROKER: `127.0.0.1:${broker.port}`,
        CONFIG: write("source.yaml", brokerFile(broker.port) + BROADCASTS),
      }),
    },
    deeds: {
      "restart the broker": async () => {
        await broker?.kill("SIGKILL");
        await broker?.start();
      },
    },
    log: agent.log,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
