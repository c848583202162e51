/** Dry runs: what a change would become, and what stands in its way. */

import * as q from "../../gen/queries.ts";
import type { Db } from "../db/connect.ts";
import { MANIFEST_BUNDLES } from "../wire/event.ts";
import { formatTime } from "../wire/time.ts";
import type { ResourceRow } from "./door.ts";
import { alreadyExists, unknownConsumer } from "./refusals.ts";

/** A resource that somebody would like to store. */
export interface WantedRow {
  id: string;
  name: string;
  source: string;
  consumerName: string;
  type: string;
  version: number;
  spec: string;
  metadata: string | undefined;
}

/**
 * Returns the row that would be stored in place of `row`, or beside the others.
 *
 * Throws what PostgreSQL would refuse: an unknown consumer, an id or a name that is taken, text that cannot be kept.
 */
export async function foresee(db: Db, wanted: WantedRow, row?: ResourceRow): Promise<ResourceRow> {
  const { id, name, consumerName, spec, metadata = null } = wanted;
  const [met] = await q.resourceForesee(db, id, name, consumerName, spec, metadata);
  if (!met?.is_known_consumer) throw unknownConsumer(consumerName);
  const isTaken = row === undefined && met.spec_hash !== null;
  if (isTaken || (met.name_owner !== null && met.name_owner !== id)) throw alreadyExists();
  return foreseenRow(wanted, row);
}

/** The row that is stored, as far as it can be known without looking. */
export function foreseenRow(wanted: WantedRow, row?: ResourceRow): ResourceRow {
  const { id, name, source, consumerName, type, version, spec, metadata = null } = wanted;
  const now = formatTime(Date.now());
  const fresh = row ?? {
    ...{ id, name, source, consumer_name: consumerName, type, data_type: MANIFEST_BUNDLES },
    ...{ created_at: now, deleted_at: null, next_send_at: now, sent_at: null, attempts: 0 },
    ...{ status: null, status_version: null, status_sequence: null, silent_seconds: null },
    ...{ observed_version: 0, applied_version: 0, sent_version: 0 },
  };
  const isSame = row?.version === version;
  return { ...fresh, version, spec, metadata, updated_at: isSame ? row.updated_at : now };
}
