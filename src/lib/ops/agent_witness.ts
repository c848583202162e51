/** Counts what the agent shows of its work. */

import type { Witness } from "../work/witness.ts";
import type { AgentMetrics } from "./agent_metrics.ts";

/** A witness that counts. */
export function createWitness(metrics: AgentMetrics): Witness {
  return {
    turned(_, slot, { isApplied }) {
      const applied = slot.conditions.find(({ type }) => type === "Applied");
      metrics.manifest(isApplied ? "applied" : "failed", applied?.reason ?? "");
    },
    drifted: metrics.drifted,
    undeletable: (_, reasons) => metrics.undeletable(reasons.length),
    queue: metrics.queue,
  };
}
