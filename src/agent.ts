/** The agent, top to bottom: the cluster, the server, and what goes on between them. */

import { chooseRoad } from "./agent_road.ts";
import {
  AGENT_FLAGS,
  type AgentConfig,
  consumerNames,
  parseAgentConfig,
} from "./lib/agent_config.ts";
import { describeFlags } from "./lib/flags.ts";
import { VERSION } from "./lib/version.ts";
import { openLog, runProgram, untilSignal } from "./program.ts";
import type { Kube } from "./lib/work/kube_api.ts";

const USAGE =
  `maestro-agent applies manifests to a Kubernetes cluster and reports what became of them.

Usage: maestro-agent --consumer-name <name> --server <host:port> [flags]
       maestro-agent --consumer-name <name> --workload-source-driver=mqtt --workload-source-config <file>

Flags, each also as an environment variable (MAESTRO_CONSUMER_NAME …):
`;

/** Runs the agent until `stopped` resolves. Throws a `MaestroError` if it cannot start. */
async function runAgent(config: AgentConfig, stopped: Promise<string>): Promise<void> {
  const { serveAgentHealth } = await import("./lib/ops/agent_health.ts");
  const { startWorkAgent } = await import("./lib/work/agent.ts");
  const { MANIFEST_BUNDLES, MANIFESTS } = await import("./lib/wire/event.ts");

  await using stack = new AsyncDisposableStack();
  const isSimulated = config.simulate > 0;
  const agentVersion = isSimulated ? `${VERSION} (simulated)` : VERSION;
  const log = openLog(config["log-level"]);
  const connect = await chooseRoad(config);
  const dataTypes = config["legacy-manifests"] ? [MANIFEST_BUNDLES, MANIFESTS] : [MANIFEST_BUNDLES];

  // One agent for each consumer; more than one only if their clusters are made up.
  const agents: { readiness(): string | undefined }[] = [];
  for (const consumerName of consumerNames(config)) {
    const kube = await openCluster(config, stack);
    const ownLog = config.simulate > 1 ? log.with({ consumer: consumerName }) : log;
    const agentId = agents.length === 0 && config.simulate <= 1
      ? config["cloudevents-client-id"] ?? `${consumerName}-work-agent`
      : `${consumerName}-work-agent`;
    ownLog.info("starting", { version: agentVersion, cluster: kube.description, agent: agentId });
    const agent = { agentId, consumerName, dataTypes, log: ownLog };
    agents.push(stack.use(
      await startWorkAgent(
        kube,
        (events) => connect(events, agent),
        ownLog,
        {
          consumerName,
          agentId,
          agentVersion,
          hubName: config["hub-name"],
          ownerId: config["agent-id"],
          dataTypes,
          statusSyncIntervalMs: config["status-sync-interval"],
          workers: config["workload-agent-workers"],
          jsonRawBytesMax: config["max-json-raw-length"],
          nowMs: Date.now,
        },
      ),
    ));
  }

  const readiness = () => agents.map((agent) => agent.readiness()).find((reason) => reason);
  const health = stack.use(serveAgentHealth(readiness, config.listen));
  log.info("serving", { version: agentVersion, consumers: agents.length, health: health.port });
  log.info("stopping", { reason: await stopped });
}

async function openCluster(config: AgentConfig, stack: AsyncDisposableStack): Promise<Kube> {
  if (config.simulate > 0) {
    const { createSimulatedKube } = await import("./lib/kube/simulated.ts");
    return createSimulatedKube();
  }
  const { findKubeAccess } = await import("./lib/kube/access.ts");
  const { openKube } = await import("./lib/kube/client.ts");
  const { kubeconfig } = config;
  const access = await findKubeAccess(kubeconfig === undefined ? {} : { kubeconfig }, Bun.env);
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  return openKube(access, {
    qps: config["kube-api-qps"],
    burst: config["kube-api-burst"],
    userAgent: `maestro-agent/${VERSION}`,
    signal: stop.signal,
  });
}

async function main(args: string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${USAGE}${describeFlags(AGENT_FLAGS)}\n`);
    return 0;
  }
  if (args.includes("--version")) {
    process.stdout.write(`maestro-agent ${VERSION}\n`);
    return 0;
  }
  await runAgent(parseAgentConfig(args, Bun.env), untilSignal());
  return 0;
}

if (import.meta.main) await runProgram(main);
