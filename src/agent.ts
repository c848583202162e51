/** The agent, top to bottom: the cluster, the server, and what goes on between them. */

import { hostname } from "node:os";
import { type Cluster, openCluster } from "./agent_cluster.ts";
import { chooseRoad } from "./agent_road.ts";
import { finish, untilChanged } from "./agent_stop.ts";
import type { Standing } from "./agent_watch.ts";
import {
  AGENT_FLAGS,
  type AgentConfig,
  consumerNames,
  parseAgentConfig,
} from "./lib/agent_config.ts";
import { describeFlags } from "./lib/flags.ts";
import { logLevelOf } from "./lib/klog_flags.ts";
import { VERSION } from "./lib/version.ts";
import { openLog, runProgram, untilSignal } from "./program.ts";

const USAGE =
  `maestro-agent applies manifests to a Kubernetes cluster and reports what became of them.

Usage: maestro-agent --consumer-name <name> --server <host:port> [flags]
       maestro-agent --consumer-name <name> --workload-source-driver=mqtt --workload-source-config <file>

Flags, each also as an environment variable (MAESTRO_CONSUMER_NAME …):
`;

/**
 * Runs the agent until `stopped` resolves, or another process has taken its place. Throws a `MaestroError` if it
 * cannot start.
 */
async function runAgent(config: AgentConfig, stopped: Promise<string>): Promise<void> {
  const { awaitRights } = await import("./agent_rights.ts");
  const { awaitTurn } = await import("./agent_turn.ts");
  const { openWatch } = await import("./agent_watch.ts");
  const { createAgentMetrics } = await import("./lib/ops/agent_metrics.ts");
  const { createWitness } = await import("./lib/ops/agent_witness.ts");
  const { createEventTeller } = await import("./lib/work/kube_events.ts");
  const { startWorkAgent } = await import("./lib/work/agent.ts");
  const { MANIFEST_BUNDLES, MANIFESTS } = await import("./lib/wire/event.ts");

  await using stack = new AsyncDisposableStack();
  const isSimulated = config.simulate > 0;
  const agentVersion = isSimulated ? `${VERSION} (simulated)` : VERSION;
  const pod = Bun.env["POD_NAME"];
  const ownLine = openLog(logLevelOf(config["log-level"], config.v));
  const log = pod === undefined ? ownLine : ownLine.with({ pod });
  const connect = await chooseRoad(config);
  const dataTypes = config["legacy-manifests"] ? [MANIFEST_BUNDLES, MANIFESTS] : [MANIFEST_BUNDLES];
  const standing: Standing = { clusters: [], agents: [] };
  const metrics = createAgentMetrics(() => standing.agents.map((agent) => agent.backlog()));

  // One cluster for each consumer; more than one only if they are made up.
  const consumers = consumerNames(config);
  for (const _ of consumers) standing.clusters.push(await openCluster(config, metrics, stack));
  // Before anything that may take long: probes ask from the first second on.
  const door = stack.use(await openWatch(config, standing, metrics, log));

  const stop = new AbortController();
  const ending = Promise.race([stopped, untilChanged(config["terminate-on-files"], log, stack)]);
  void ending.then(() => stop.abort());
  await awaitRights(config, standing, log, stop.signal);
  const turn = await awaitTurn(config, standing, (reason) => standing.standingBy = reason, {
    ...{ metrics, log, signal: stop.signal },
  });
  if (turn !== undefined) stack.use(turn);
  else if (stop.signal.aborted) return log.info("stopping", { reason: await ending });

  for (const [index, consumerName] of consumers.entries()) {
    const { kube, own } = standing.clusters[index] as Cluster;
    const ownLog = config.simulate > 1 ? log.with({ consumer: consumerName }) : log;
    const ownId = config.simulate > 1 ? undefined : config["cloudevents-client-id"];
    const agentId = ownId ?? `${consumerName}-work-agent`;
    ownLog.info("starting", { version: agentVersion, cluster: kube.description, agent: agentId });
    const events = own && stack.use(
      createEventTeller(own, { instance: hostname(), nowMs: Date.now, log: ownLog }),
    );
    const witness = createWitness(metrics, events);
    const agent = { agentId, consumerName, dataTypes, log: ownLog };
    standing.agents.push(stack.use(
      await startWorkAgent(
        kube,
        metrics.follow((events) => connect(events, agent), consumerName),
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
          witness,
        },
      ),
    ));
  }

  log.info("serving", { version: agentVersion, consumers: consumers.length, health: door.port });
  const lost = turn?.lost ?? new Promise<never>(() => {});
  const end = await Promise.race([ending, lost.then((reason) => ({ reason }))]);
  if (typeof end !== "string") {
    // With 0, so that it is started again at once, and then stands by.
    log.error("another agent may work in this one's place, ending", { reason: end.reason });
    return;
  }
  log.info("stopping", { reason: end });
  await finish(standing.agents, log);
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
