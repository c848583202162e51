/** What the agent asked of a real API server, from its audit log. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Kubernetes, KubernetesOptions } from "../tests/harness/kubernetes.ts";

const POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted"],
  rules: [{ level: "Metadata", users: ["admin"] }],
};

/** Options of `startKubernetes` for a server that writes down every call. */
export const AUDITED = {
  files: { "policy.json": JSON.stringify(POLICY) },
  flags: ["--audit-policy-file", "policy.json", "--audit-log-path", "audit.log"],
} satisfies KubernetesOptions;

/** A call of the agent; one that is about no object has no `objectRef`. */
export interface AgentCall {
  verb: string;
  requestURI: string;
  objectRef?: { resource?: string; subresource?: string };
}

/** The agent's calls so far, in order. */
export function agentCalls({ directory }: Pick<Kubernetes, "directory">): AgentCall[] {
  return readFileSync(join(directory, "audit.log"), "utf8").split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AgentCall & { userAgent?: string })
    .filter(({ userAgent }) => String(userAgent).startsWith("maestro-agent"));
}
