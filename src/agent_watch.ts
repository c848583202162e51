/** The agent's door for probes and Prometheus, and what it says of the agents of this process. */

import { existsSync } from "node:fs";
import type { Cluster } from "./agent_cluster.ts";
import type { AgentConfig, Listen } from "./lib/agent_config.ts";
import type { HttpServer } from "./lib/http_server.ts";
import type { Logger } from "./lib/log.ts";
import type { AgentMetrics } from "./lib/ops/agent_metrics.ts";
import type { WorkAgent } from "./lib/work/agent.ts";

/** What is known of this process; it grows while it starts. */
export interface Standing {
  clusters: Cluster[];
  agents: WorkAgent[];
  /** What the start waits for. */
  starting?: string | undefined;
  /** Why this process does not work, and need not: another one does. */
  standingBy?: string | undefined;
}

/** Where OpenShift's service certificates are mounted, in the Go agent's deployment too. */
const SERVING_CERT = {
  cert: "/var/run/secrets/serving-cert/tls.crt",
  key: "/var/run/secrets/serving-cert/tls.key",
};

/** Every call has a time-out well below this: a run that takes longer, and calls letNobody meanwhile, never ends. */
const STUCK_MS = 600_000;

/** Opens the door. Throws `invalid_argument` that names the file that cannot be used. */
export async function openWatch(
  config: AgentConfig,
  standing: Standing,
  metrics: AgentMetrics,
  log: Logger,
): Promise<HttpServer> {
  const { answerAgent } = await import("./lib/ops/agent_health.ts");
  const { isLoopback, openDoor } = await import("./lib/ops/agent_door.ts");
  const { createReviewer, letNobody } = await import("./lib/ops/agent_reviews.ts");
  const { hostname, port } = config.listen ?? await normalListen();
  const cluster = standing.clusters[0];
  const reviewer = isLoopback(hostname)
    ? undefined
    : cluster?.own === undefined
    ? letNobody
    : createReviewer(cluster.own, () => performance.now());
  const answers = {
    reviewer,
    readiness: () => readiness(standing),
    stuck: () => stuck(standing),
    remark: () => standing.standingBy,
    metrics: metrics.text,
  };
  return await openDoor((request) => answerAgent(request, answers), {
    ...{ hostname, port, tls: tlsOf(config), nowMs: Date.now, log },
    refreshMs: config["certificate-refresh-interval"],
  });
}

/** In a pod every probe comes from outside; elsewhere nobody but this machine has asked for a door. */
async function normalListen(): Promise<Listen> {
  const { isInCluster } = await import("./lib/kube/in_cluster.ts");
  return { hostname: isInCluster(Bun.env) ? "0.0.0.0" : "127.0.0.1", port: 8443 };
}

function tlsOf(config: AgentConfig): { cert: string; key: string } | "self-signed" | "plain" {
  if (config["plain-http"]) return "plain";
  const cert = config["tls-cert-file"];
  const key = config["tls-private-key-file"];
  if (cert !== undefined && key !== undefined) return { cert, key };
  return existsSync(SERVING_CERT.cert) ? SERVING_CERT : "self-signed";
}

async function readiness(standing: Standing): Promise<string | undefined> {
  for (const { kube, contact } of standing.clusters) {
    const problem = await contact?.problem(kube);
    if (problem !== undefined) return `the cluster: ${problem}`;
  }
  if (standing.standingBy !== undefined) return undefined;
  if (standing.agents.length === 0) return standing.starting ?? "starting";
  const reasons = standing.agents.map((agent) => agent.readiness());
  const reason = reasons.find((found) => found !== undefined);
  return reason === undefined ? undefined : `the server: ${reason}`;
}

function stuck({ agents, clusters }: Standing): string | undefined {
  for (const agent of agents) {
    const { passes, reports } = agent.backlog();
    const quietMs = Math.min(...clusters.map(({ contact }) => contact?.quietMs() ?? Infinity));
    if (passes.longestRunMs > STUCK_MS && quietMs > STUCK_MS) {
      return `a pass has made no call for ${Math.round(quietMs / 1000)} s`;
    }
    if (reports.longestRunMs > STUCK_MS) {
      return `a report has been under way for ${Math.round(reports.longestRunMs / 1000)} s`;
    }
  }
  return undefined;
}
