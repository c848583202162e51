/** Events as sources and agents send them, with the parts that a test does not care about filled in. */

import { MANIFEST_BUNDLES } from "../../src/lib/wire/event.ts";
import type { CloudEvent } from "../../src/lib/wire/event.ts";
import {
  encodeSpecResync,
  encodeStatusResync,
  type HeldStatus,
  type HeldVersion,
} from "../../src/lib/wire/resync.ts";
import { createSequence } from "../../src/lib/wire/sequence.ts";
import type { Condition } from "../../src/lib/wire/work_status.ts";

/** Sequence ids that only grow, as an agent makes them. */
export const nextSequence = createSequence(Date.now);

/** The data of a bundle with one ConfigMap; `value` tells two versions apart. */
export function bundle(value = "1"): string {
  return `{"manifests":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a",` +
    `"namespace":"default"},"data":{"value":${JSON.stringify(value)}}}]}`;
}

export interface SpecEventParts {
  action?: "create_request" | "update_request" | "delete_request" | "foo_request";
  source?: string;
  id: string;
  consumerName: string;
  version?: number;
  data?: string;
  extensions?: CloudEvent["extensions"];
}

/** A spec event of a source. A deletion has no data. */
export function specEvent(parts: SpecEventParts): CloudEvent {
  const { action = "create_request", source = "tests", id, consumerName, version = 0 } = parts;
  const isDeletion = action === "delete_request";
  return {
    id: crypto.randomUUID(),
    source,
    type: `${MANIFEST_BUNDLES}.spec.${action}`,
    time: new Date().toISOString(),
    extensions: {
      resourceid: id,
      resourceversion: version,
      clustername: consumerName,
      originalsource: "",
      ...(isDeletion ? { deletiontimestamp: new Date().toISOString() } : {}),
      ...parts.extensions,
    },
    ...(isDeletion ? {} : { datacontenttype: "application/json", data: parts.data ?? bundle() }),
  };
}

export interface StatusEventParts {
  id: string;
  consumerName: string;
  version?: number;
  sequence?: string;
  /** Tells two reports apart. */
  message?: string;
  isDeleted?: boolean;
  data?: string;
  extensions?: CloudEvent["extensions"];
}

/** A report of an agent: applied, or deleted. */
export function statusEvent(parts: StatusEventParts): CloudEvent {
  const { id, consumerName, version = 1, sequence = nextSequence() } = parts;
  const condition: Condition = {
    type: parts.isDeleted ? "Deleted" : "Applied",
    status: "True",
    lastTransitionTime: "2026-01-02T03:04:05Z",
    reason: "Test",
    message: parts.message ?? "",
    ...(parts.isDeleted ? {} : { observedGeneration: version }),
  };
  return {
    id: crypto.randomUUID(),
    source: `${consumerName}-agent`,
    type: `${MANIFEST_BUNDLES}.status.update_request`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    extensions: {
      resourceid: id,
      resourceversion: version,
      clustername: consumerName,
      originalsource: "maestro",
      sequenceid: sequence,
      statushash: `hash-${sequence}`,
      ...parts.extensions,
    },
    data: parts.data ?? JSON.stringify({ conditions: [condition] }),
  };
}

/** What an agent says that it holds. */
export function specResync(consumerName: string, held: HeldVersion[]): CloudEvent {
  return resync(`${consumerName}-agent`, "spec", encodeSpecResync(held), consumerName);
}

/** What a source says that it holds. */
export function statusResync(source: string, held: HeldStatus[]): CloudEvent {
  return resync(source, "status", encodeStatusResync(held), "");
}

function resync(
  source: string,
  subresource: "spec" | "status",
  data: string,
  consumerName: string,
): CloudEvent {
  return {
    id: crypto.randomUUID(),
    source,
    type: `${MANIFEST_BUNDLES}.${subresource}.resync_request`,
    time: new Date().toISOString(),
    datacontenttype: "application/json",
    extensions: { clustername: consumerName, originalsource: "" },
    data,
  };
}
