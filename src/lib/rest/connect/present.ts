/** Resource bundles as messages, with all that REST shows of them. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type ConditionSchema,
  type Delivery,
  Delivery_State,
  DeliverySchema,
  type ResourceBundle,
  ResourceBundleSchema,
  type Status,
  StatusSchema,
} from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import { rawNumber } from "../../json.ts";
import { deliveryOf, type DeliveryState } from "../../spec/delivery.ts";
import type { ResourceRow } from "../../spec/door.ts";
import { parseSpec } from "../../wire/read_spec.ts";
import { splitTime } from "../../wire/time.ts";
import { type Condition, parseStatus } from "../../wire/work_status.ts";
import { presentMetadata } from "../present_bundle.ts";
import type { Presentation } from "../watch_event.ts";

const STATES: Record<DeliveryState, Delivery_State> = {
  pending: Delivery_State.PENDING,
  delivered: Delivery_State.DELIVERED,
  applied: Delivery_State.APPLIED,
  deleting: Delivery_State.DELETING,
};

const INT64_MAX = 2n ** 63n - 1n;

/** Makes how bundles are shown to those who watch. */
export function createMessagePresentation(): Presentation<ResourceBundle> {
  return {
    memory: new WeakMap(),
    bundle: presentBundle,
    farewell: ({ id, source, consumer_name: consumerName }) =>
      create(ResourceBundleSchema, { id, source, consumerName }),
    // Nearly all of it; the rest is small and about the same for all.
    bytes: ({ manifests, status }) =>
      [...manifests, ...status?.manifestStatuses ?? []].reduce(
        (sum, { length }) => sum + length,
        0,
      ),
  };
}

/** Presents a bundle. What is unknown yet, as its status, is left out. */
export function presentBundle(
  row: ResourceRow,
  { isGone }: { isGone: boolean } = { isGone: false },
): ResourceBundle {
  const spec = parseSpec(row.data_type, row.spec);
  return create(ResourceBundleSchema, {
    id: row.id,
    name: row.name,
    consumerName: row.consumer_name,
    source: row.source,
    version: row.version,
    createdAt: toTimestamp(row.created_at),
    updatedAt: toTimestamp(row.updated_at),
    ...(row.deleted_at !== null && { deletedAt: toTimestamp(row.deleted_at) }),
    metadata: JSON.stringify(presentMetadata(row)),
    manifests: spec.manifests.map((manifest) => JSON.stringify(manifest)),
    manifestConfigs: (spec.manifestConfigs ?? []).map((config) => JSON.stringify(config)),
    ...(spec.deleteOption && { deleteOption: JSON.stringify(spec.deleteOption) }),
    ...(spec.executer && { executor: JSON.stringify(spec.executer) }),
    // What is gone is on its way no more.
    ...(!isGone && { delivery: presentDelivery(row) }),
    ...(row.status !== null && { status: presentStatus(row, row.status) }),
  });
}

/** A time as the database writes it. */
export function toTimestamp(time: string): Timestamp {
  const { seconds, nanos } = splitTime(time);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos });
}

function presentDelivery(row: ResourceRow): Delivery {
  const { state, sentAt, nextSendAt, ...delivery } = deliveryOf(row);
  return create(DeliverySchema, {
    ...delivery,
    state: STATES[state],
    ...(sentAt !== undefined && { sentAt: toTimestamp(sentAt) }),
    ...(nextSendAt !== undefined && { nextSendAt: toTimestamp(nextSendAt) }),
  });
}

function presentStatus(row: ResourceRow, text: string): Status {
  const { conditions, resourceStatus } = parseStatus(text);
  return create(StatusSchema, {
    observedVersion: row.status_version ?? 0,
    sequenceId: row.status_sequence ?? "",
    conditions: (conditions ?? []).map(presentCondition),
    manifestStatuses: (resourceStatus ?? []).map((status) => JSON.stringify(status)),
  });
}

/** What an agent reports is not ours to trust: a member may be missing, or a number without bounds. */
function presentCondition(condition: Partial<Condition>): MessageInitShape<typeof ConditionSchema> {
  const { type = "", status = "", reason = "", message = "" } = condition;
  return {
    ...{ type, status, reason, message },
    observedGeneration: toInt64(condition.observedGeneration),
    lastTransitionTime: condition.lastTransitionTime ?? "",
  };
}

function toInt64(value: unknown): bigint {
  const text = rawNumber(value) ?? String(value);
  if (!/^-?\d{1,19}$/.test(text)) return 0n;
  const number = BigInt(text);
  return number > INT64_MAX || number < -INT64_MAX ? 0n : number;
}
