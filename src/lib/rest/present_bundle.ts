/** Resource bundles as clients see them (server.md §1.10). */

import { isObject, type JsonObject, parseJson } from "../json.ts";
import type { ResourceRow } from "../spec/door.ts";
import { parseSpec } from "../wire/read_spec.ts";
import { parseStatus } from "../wire/work_status.ts";
import { presentDelivery } from "./present.ts";

/** Presents a bundle. What is unknown yet, as its status, is left out. */
export function presentBundle(
  row: ResourceRow,
  { isGone }: { isGone: boolean } = { isGone: false },
): JsonObject {
  const spec = parseSpec(row.data_type, row.spec);
  return {
    consumer_name: row.consumer_name,
    created_at: row.created_at,
    ...(row.deleted_at !== null && { deleted_at: row.deleted_at }),
    delete_option: spec.deleteOption ?? {},
    // What is gone is on its way no more.
    ...(!isGone && { delivery: presentDelivery(row) }),
    // The Go server leaves it out, so that who reads and sends back what was read loses it (quirk Q16 of the wire).
    ...(spec.executer && { executor: spec.executer }),
    href: `/api/maestro/v1/resource-bundles/${row.id}`,
    id: row.id,
    kind: "ResourceBundle",
    manifest_configs: spec.manifestConfigs ?? [],
    manifests: spec.manifests,
    metadata: presentMetadata(row),
    name: row.name,
    ...(row.status !== null && { status: presentStatus(row, row.status) }),
    updated_at: row.updated_at,
    version: row.version,
  };
}

/** The metadata of its ManifestWork, with the times that the server knows. */
export function presentMetadata({ metadata, created_at, deleted_at }: ResourceRow): JsonObject {
  const stored = parseJson(metadata ?? "{}");
  return {
    ...(isObject(stored) && stored),
    creationTimestamp: toSeconds(created_at),
    ...(deleted_at !== null && { deletionTimestamp: toSeconds(deleted_at) }),
  };
}

function presentStatus(row: ResourceRow, text: string): JsonObject {
  const { conditions, resourceStatus } = parseStatus(text);
  return {
    ObservedVersion: row.status_version ?? 0,
    SequenceID: row.status_sequence ?? "",
    conditions: conditions ?? [],

    ...(resourceStatus && { resourceStatus }),
  };
}

/** Kubernetes times have second precision. */
function toSeconds(time: string): string {
  return time.replace(/\.\d+/, "");
}
