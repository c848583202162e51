/** Events as sources and agents send them. */

import { type CloudEvent, EXT, MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";

export interface SpecOptions {
  id: string;
  consumerName: string;
  version?: number;
  source?: string;
  /** Members of the ConfigMap's data. */
  content?: Record<string, string>;
  data?: string;
}

/** A create, update or delete request of a source. */
export function specEvent(
  action: "create_request" | "update_request" | "delete_request",
  { id, consumerName, version = 0, source = "tests", content = {}, data }: SpecOptions,
): CloudEvent {
  const event: CloudEvent = {
    id: crypto.randomUUID(),
    source,
    type: `${MANIFEST_BUNDLES}.spec.${action}`,
    time: new Date().toISOString(),
    extensions: {
      [EXT.clusterName]: consumerName,
      [EXT.originalSource]: "",
      [EXT.resourceId]: id,
      [EXT.resourceVersion]: version,
      [EXT.metadata]: JSON.stringify({ name: `work-${id}`, labels: { app: "test" } }),
    },
  };
  if (action === "delete_request") {
    event.extensions[EXT.deletionTimestamp] = new Date().toISOString();
    return event;
  }
  event.datacontenttype = "application/json";
  event.data = data ?? bundle(content);
  return event;
}

/** The data of a bundle with one ConfigMap. */
export function bundle(content: Record<string, string> = {}): string {
  const metadata = { name: "web", namespace: "default" };
  return JSON.stringify({
    manifests: [{ apiVersion: "v1", kind: "ConfigMap", metadata, data: content }],
  });
}

export interface ReportOptions {
  id: string;
  consumerName: string;
  version?: number;
  /** A decimal; greater is newer. */
  sequence?: string;
  isDeleted?: boolean;
  hash?: string;
  message?: string;
}

/** A status event of an agent. */
export function reportEvent(options: ReportOptions): CloudEvent {
  const { id, consumerName, version = 1, sequence = "1", isDeleted = false } = options;
  const condition = {
    type: isDeleted ? "Deleted" : "Applied",
    status: "True",
    observedGeneration: version,
    lastTransitionTime: "2026-01-02T03:04:05Z",
    reason: isDeleted ? "ManifestsDeleted" : "AppliedManifestWorkComplete",
    message: options.message ?? "",
  };
  return {
    id: crypto.randomUUID(),
    source: `${consumerName}-work-agent`,
    type: `${MANIFEST_BUNDLES}.status.update_request`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    extensions: {
      [EXT.clusterName]: consumerName,
      [EXT.originalSource]: "maestro",
      [EXT.resourceId]: id,
      [EXT.resourceVersion]: version,
      [EXT.sequenceId]: sequence,
      [EXT.statusHash]: options.hash ?? "0".repeat(64),
    },
    data: JSON.stringify({ conditions: [condition] }),
  };
}
