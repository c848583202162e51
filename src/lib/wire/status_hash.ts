/** The hash by which both sides of a status resync see whether they know the same. */

import { createHash } from "node:crypto";
import { canonicalJson, escapeLikeGo } from "../json.ts";
import type { BundleStatus } from "./work_status.ts";

/** What a source announces for a resource that has no status: SHA-256 of nothing. */
export const NO_STATUS_HASH = createHash("sha256").digest("hex");

/**
 * The hash of a status as agents have computed it since 2025-03: lower-case hex SHA-256 of the
 * ManifestWork's status, keys sorted, escaped like Go. Receivers treat it as opaque.
 */
export function statusHash(status: BundleStatus): string {
  const { conditions, resourceStatus } = status;
  const workStatus = {
    ...(conditions && conditions.length > 0 ? { conditions } : {}),
    resourceStatus: resourceStatus && resourceStatus.length > 0
      ? { manifests: resourceStatus }
      : {},
  };
  return createHash("sha256").update(escapeLikeGo(canonicalJson(workStatus))).digest("hex");
}
