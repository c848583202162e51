/** Counts what the agent shows of its work, and passes on what belongs into Kubernetes Events. */

import type { EventTeller } from "../work/kube_events.ts";
import type { Witness } from "../work/witness.ts";
import type { AgentMetrics } from "./agent_metrics.ts";

/** A witness that counts. A made-up cluster has no Events. */
export function createWitness(metrics: AgentMetrics, events?: EventTeller): Witness {
  return {
    turned(entry, slot, outcome) {
      const applied = slot.conditions.find(({ type }) => type === "Applied");
      metrics.manifest(outcome.isApplied ? "applied" : "failed", applied?.reason ?? "");
      events?.turned(entry, slot, outcome);
    },
    drifted(slot) {
      metrics.drifted();
      events?.drifted(slot);
    },
    undeletable(entry, message) {
      metrics.undeletable();
      events?.undeletable(entry, message);
    },
    queue: metrics.queue,
  };
}
