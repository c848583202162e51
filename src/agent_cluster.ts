/** The agent's way to its cluster: the one that was named, or one that is made up. */

import type { AgentConfig } from "./lib/agent_config.ts";
import type { KubeAccess } from "./lib/kube/access.ts";
import type { Contact } from "./lib/kube/contact.ts";
import type { AgentMetrics } from "./lib/ops/agent_metrics.ts";
import { VERSION } from "./lib/version.ts";
import type { Kube, KubeCall } from "./lib/work/kube_api.ts";

/** A Lease that takes longer to renew is as good as lost. */
const OWN_TIMEOUT_MS = 10_000;

export interface Cluster {
  kube: Kube;
  /** For calls that must not wait behind works: Leases, reviews, Events. Undefined for a simulated cluster. */
  own?: Kube;
  /** Undefined for a simulated cluster, which is always there. */
  contact?: Contact;
  /** Why nothing may be changed through \`kube\`; asked before each change. */
  refusal: { reason(): string | undefined };
  /** The namespace of the agent's own objects; undefined for a simulated cluster. */
  namespace?: string;
}

/** Opens the cluster. Calls end when the stack does. Throws `invalid_argument` if there is none. */
export async function openCluster(
  config: AgentConfig,
  metrics: AgentMetrics,
  stack: AsyncDisposableStack,
): Promise<Cluster> {
  if (config.simulate > 0) {
    const { createSimulatedKube } = await import("./lib/kube/simulated.ts");
    return { kube: createSimulatedKube(), refusal: { reason: () => undefined } };
  }
  const { findKubeAccess } = await import("./lib/kube/access.ts");
  const { openKube } = await import("./lib/kube/client.ts");
  const { createContact } = await import("./lib/kube/contact.ts");
  const { kubeconfig } = config;
  const access: KubeAccess = await findKubeAccess(
    kubeconfig === undefined ? {} : { kubeconfig },
    Bun.env,
  );
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const contact = createContact(() => performance.now());
  const { host } = new URL(access.server);
  const refusal: Cluster["refusal"] = { reason: () => undefined };
  const options = {
    userAgent: `maestro-agent/${VERSION}`,
    signal: stop.signal,
    observe(call: KubeCall) {
      contact.observe(call);
      metrics.kubeCall(call, host);
    },
  };
  const kube = openKube(access, {
    ...options,
    qps: config["kube-api-qps"],
    burst: config["kube-api-burst"],
    refusal: () => refusal.reason(),
  });
  const own = openKube(access, { ...options, timeoutMs: OWN_TIMEOUT_MS });
  return { kube, own, contact, refusal, namespace: config.namespace ?? access.namespace };
}
