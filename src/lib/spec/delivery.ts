/** Where a resource is on its way to its cluster, and what it waits for: in words, for those who look at it. */

import { describeConnection, isConnected } from "../consumer/connection.ts";
import { parseStatus } from "../wire/work_status.ts";
import type { ResourceRow } from "./door.ts";

/**
 * `pending`: its agent does not have the version yet. `delivered`: it has, and has not applied it. `applied`: it has
 * done that. `deleting`: whatever is on the cluster is to go.
 */
export type DeliveryState = "pending" | "delivered" | "applied" | "deleting";

export interface Delivery {
  state: DeliveryState;
  /** A sentence without a full stop. */
  message: string;
  /** The last version that the agent is known to hold, and to have applied; 0 for none. */
  deliveredVersion: number;
  appliedVersion: number;
  /** How often what is waited for was sent, when last, and when it is sent again to an agent that is there. */
  attempts: number;
  sentAt?: string;
  nextSendAt?: string;
}

/** Works out where a resource is. */
export function deliveryOf(row: ResourceRow): Delivery {
  const state = stateOf(row);
  const isWaiting = state === "pending" || state === "deleting";
  return {
    state,
    message: MESSAGE[state](row),
    deliveredVersion: row.observed_version,
    appliedVersion: row.applied_version,
    attempts: row.attempts,
    ...(row.sent_at !== null && { sentAt: row.sent_at }),
    ...(isWaiting && row.attempts > 0 && { nextSendAt: row.next_send_at }),
  };
}

function stateOf(row: ResourceRow): DeliveryState {
  if (row.deleted_at !== null) return "deleting";
  if (row.observed_version !== row.version) return "pending";
  return row.applied_version >= row.version ? "applied" : "delivered";
}

const MESSAGE: Record<DeliveryState, (row: ResourceRow) => string> = {
  deleting: (row) => `deleting, waiting for ${agentOf(row)}${becauseOf(row, "Deleting")}`,
  pending: (row) =>
    row.sent_version === row.version && isConnected(row.silent_seconds)
      ? `version ${row.version} is sent and not confirmed, waiting for ${agentOf(row)}`
      : `version ${row.version} is waiting for ${agentOf(row)}`,
  delivered: (row) =>
    `version ${row.version} is held by ${agentOf(row)}, and not applied${
      becauseOf(row, "Applied")
    }`,
  applied: (row) => `version ${row.version} is applied`,
};

function agentOf({ consumer_name, silent_seconds }: ResourceRow): string {
  return `the agent of ${consumer_name}, ${describeConnection(silent_seconds)}`;
}

/** What the agent itself says, if that is about what is waited for. */
function becauseOf({ status }: ResourceRow, type: "Deleting" | "Applied"): string {
  const wanted = type === "Deleting" ? "True" : "False";
  const conditions = status === null ? [] : parseStatus(status).conditions ?? [];
  const found = conditions.find((one) => one.type === type && one.status === wanted);
  return found?.message ? `: ${found.message}` : "";
}
