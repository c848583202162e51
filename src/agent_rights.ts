/** Waits until the agent has the rights that it needs for itself, and says which are missing. */

import type { Standing } from "./agent_watch.ts";
import type { AgentConfig } from "./lib/agent_config.ts";
import { describeError } from "./lib/errors.ts";
import type { Logger } from "./lib/log.ts";
import { pause } from "./lib/pause.ts";

/** Whoever installs the agent may grant its rights a moment later; whoever forgot them is in no hurry. */
const PAUSE_MS = { first: 1_000, ceiling: 30_000 };

/**
 * Resolves when nothing is missing, or the signal aborts.
 *
 * It waits in place of ending: a restart would change nothing, and the reason is in the log once and in `/readyz`.
 */
export async function awaitRights(
  config: AgentConfig,
  standing: Standing,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const own = standing.clusters[0]?.own;
  if (own === undefined) return;
  const { describeMissing, ownNeeds } = await import("./lib/kube/rights.ts");
  const namespace = standing.clusters[0]?.namespace ?? "default";
  const leases = config["disable-leader-election"] ? undefined : { namespace };
  let told: string | undefined;
  for (let pauseMs = PAUSE_MS.first; !signal.aborted;) {
    const reason = await ownNeeds(own, leases)
      .then((needs) => describeMissing(own, needs))
      .catch(describeError);
    standing.starting = reason;
    if (reason === undefined) return;
    if (reason !== told) log.error("cannot start yet", { reason });
    told = reason;
    await pause(pauseMs, signal);
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS.ceiling);
  }
}
