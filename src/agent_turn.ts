/** Whether this process may work: by election, or at least not beside another agent of the same consumer. */

import { createHash, randomUUID } from "node:crypto";
import { existsSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { Cluster } from "./agent_cluster.ts";
import type { Standing } from "./agent_watch.ts";
import type { AgentConfig } from "./lib/agent_config.ts";
import type { Leadership } from "./lib/kube/lease.ts";
import type { Logger } from "./lib/log.ts";
import type { AgentMetrics } from "./lib/ops/agent_metrics.ts";

/** The longest time that an agent has to say that it is still there. */
const ANSWER_MS_MAX = 10_000;

/** Waits for this process's turn; undefined if the signal aborts before. A made-up cluster is nobody else's. */
export async function awaitTurn(
  config: AgentConfig,
  { clusters: [cluster] }: Standing,
  standBy: (reason: string | undefined) => void,
  { metrics, log, signal }: { metrics: AgentMetrics; log: Logger; signal: AbortSignal },
): Promise<Leadership | undefined> {
  if (cluster?.own === undefined) return undefined;
  const name = config["disable-leader-election"]
    ? `maestro-agent-${hashOf(config)}`
    : config["leader-election-resource-name"];
  let told: string | undefined;
  const leads = (leader: string) => {
    standBy(`standing by, "${leader}" works`);
    if (told !== leader) log.info("standing by", { leader, lease: `${cluster.namespace}/${name}` });
    told = leader;
  };
  metrics.lead(name, "stands by");
  const turn = await run(config, { ...cluster, own: cluster.own }, { name, log, signal, leads });
  if (turn === undefined) return undefined;
  standBy(undefined);
  metrics.lead(name, "leads");
  void turn.lost.then(() => metrics.lead(name, "stands by"));
  cluster.refusal.reason = turn.problem;
  return turn;
}

async function run(
  config: AgentConfig,
  { own, namespace }: Required<Pick<Cluster, "own">> & Cluster,
  { name, log, signal, leads }: {
    name: string;
    log: Logger;
    signal: AbortSignal;
    leads: (holder: string) => void;
  },
): Promise<Leadership | undefined> {
  const { leaseObject } = await import("./lib/kube/lease_object.ts");
  const { electLeader } = await import("./lib/kube/lease.ts");
  const { claimPlace } = await import("./lib/kube/claim.ts");
  const lease = leaseObject(own, namespace ?? "default", name);
  const identity = `${hostname()}_${randomUUID()}`;
  const retryPeriodMs = config["leader-election-retry-period"];
  const shared = { identity, retryPeriodMs, nowMs: Date.now, log };
  if (config["disable-leader-election"]) {
    const answerMs = Math.min(ANSWER_MS_MAX, retryPeriodMs);
    return await claimPlace(
      lease,
      { ...shared, answerMs, birthplace: `${nursery()}${process.pid}`, isGone },
      signal,
      leads,
    );
  }
  return await electLeader(
    lease,
    {
      ...shared,
      leaseDurationMs: config["leader-election-lease-duration"],
      renewDeadlineMs: config["leader-election-renew-deadline"],
      elapsedMs: () => performance.now(),
    },
    signal,
    leads,
  );
}

/** Agents of other consumers, or of other servers, share the cluster and not the Lease. */
function hashOf(config: AgentConfig): string {
  const identity = [
    config["consumer-name"],
    config["cloudevents-client-id"] ?? "",
    config.server ?? config["workload-source-config"] ?? "",
  ];
  return createHash("sha256").update(identity.join("\0")).digest("hex").slice(0, 12);
}

/** Where processes are numbered: containers of one machine do it each for themselves. */
function nursery(): string {
  try {
    return `${hostname()}/${readlinkSync("/proc/self/ns/pid")}/`;
  } catch {
    return `${hostname()}/${randomUUID()}/`;
  }
}

function isGone(birthplace: string): boolean {
  const place = nursery();
  if (!birthplace.startsWith(place)) return false;
  const pid = birthplace.slice(place.length);
  return pid === String(process.pid) || !existsSync(`/proc/${pid}`);
}
