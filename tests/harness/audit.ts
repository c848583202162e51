/** What an API server was asked to write, from its audit log. */

import { join } from "node:path";

const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:masters"]
  verbs: [create, update, patch, delete]
- level: None
`;

/** Options of `startKubernetes` for a server whose writes are counted. */
export const AUDITED = {
  files: { "policy.yaml": POLICY },
  flags: ["--audit-policy-file", "policy.yaml", "--audit-log-path", "audit.log"],
};

/** One request that wrote. */
export interface Write {
  verb: string;
  uri: string;
  userAgent: string;
  resource: string;
  name: string;
  subresource: string;
}

interface AuditEvent {
  verb: string;
  requestURI: string;
  userAgent: string;
  objectRef?: { resource?: string; name?: string; subresource?: string };
}

/** The administrators' writes so far, the oldest first; what was only tried or asked is none. */
export async function auditedWrites(directory: string): Promise<Write[]> {
  const log = await Bun.file(join(directory, "audit.log")).text();
  const events = log.split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line) as AuditEvent
  );
  return events
    .filter(({ requestURI }) => !/[?&]dryRun=All/.test(requestURI) && !/reviews\b/.test(requestURI))
    .map(({ verb, requestURI, userAgent, objectRef }) => ({
      verb,
      uri: requestURI,
      userAgent,
      resource: objectRef?.resource ?? "",
      name: objectRef?.name ?? "",
      subresource: objectRef?.subresource ?? "",
    }));
}
