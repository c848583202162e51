/** Resources and consumers as clients see them. */

import type { Consumer } from "../consumer/consumers.ts";
import { type JsonObject, parseJson } from "../json.ts";
import type { ResourceRow } from "../spec/door.ts";
import { deliveryOf } from "../spec/delivery.ts";
import { parseSpec } from "../wire/read_spec.ts";
import { parseStatus } from "../wire/work_status.ts";

/** Presents a consumer. */
export function presentConsumer(consumer: Consumer): JsonObject {
  return { ...consumer, href: `/api/maestro/v1/consumers/${consumer.id}`, kind: "Consumer" };
}

/** Presents where a resource is on its way. */
export function presentDelivery(row: ResourceRow): JsonObject {
  const { deliveredVersion, appliedVersion, sentAt, nextSendAt, ...delivery } = deliveryOf(row);
  return {
    ...delivery,
    delivered_version: deliveredVersion,
    applied_version: appliedVersion,
    ...(sentAt !== undefined && { sent_at: sentAt }),
    ...(nextSendAt !== undefined && { next_send_at: nextSendAt }),
  };
}

/** Presents a resource of one manifest. What is unknown yet, as its status, is left out. */
export function presentResource(row: ResourceRow): JsonObject {
  const spec = parseSpec(row.data_type, row.spec);
  const config = spec.manifestConfigs?.[0];
  const identifier = config?.resourceIdentifier;
  return {
    consumer_name: row.consumer_name,
    created_at: row.created_at,
    ...(row.deleted_at !== null && { deleted_at: row.deleted_at }),
    ...(spec.deleteOption && { delete_option: spec.deleteOption }),
    delivery: presentDelivery(row),
    ...(identifier && {
      group_resource: { group: identifier.group, resource: identifier.resource },
    }),
    href: `/api/maestro/v1/resources/${row.id}`,
    id: row.id,
    kind: "Resource",
    manifest: spec.manifests[0] ?? {},
    name: row.name,
    ...(row.status !== null && { status: presentStatus(row, row.status) }),
    ...(config?.updateStrategy && { update_strategy: config.updateStrategy }),
    updated_at: row.updated_at,
    version: row.version,
  };
}

function presentStatus(row: ResourceRow, text: string): JsonObject {
  const { resourceStatus } = parseStatus(text);
  const values = resourceStatus?.[0]?.statusFeedback?.values ?? [];
  const feedback = values.find(({ name }) => name === "status");
  return {
    ContentStatus: parseFeedback(feedback?.fieldValue?.jsonRaw),
    ReconcileStatus: {
      Conditions: resourceStatus?.[0]?.conditions ?? [],
      ObservedVersion: row.status_version ?? 0,
      SequenceID: row.status_sequence ?? "",
    },
  };
}

// What an agent reports is not ours to trust: one bad report must not break a whole list.
function parseFeedback(jsonRaw: unknown): unknown {
  if (typeof jsonRaw !== "string") return null;
  try {
    return parseJson(jsonRaw);
  } catch {
    return null;
  }
}
