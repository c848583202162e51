/** Resource bundles over Connect. */

import type { ServiceImpl } from "@connectrpc/connect";
import * as q from "../../../gen/queries.ts";
import type { ResourceBundleService } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import type { Db } from "../../db/connect.ts";
import { find } from "../../db/find.ts";
import { MaestroError } from "../../errors.ts";
import { portions } from "../../portions.ts";
import { RESOURCES } from "../../search/listed.ts";
import { parseSearch } from "../../search/parse.ts";
import type { Condition } from "../../search/tree.ts";
import type { ResourceRow } from "../../spec/door.ts";
import { getResource } from "../../spec/get_resource.ts";
import { readPageSize, readPageToken, writePageToken } from "./page.ts";
import { createMessagePresentation, presentBundle } from "./present.ts";
import type { ConnectParts } from "./router.ts";
import { createWatchCall } from "./watch.ts";
import { createWriteCalls } from "./writes.ts";

/** A page of larger bundles is shorter than it was asked for. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Read at once; in memory they are some times as much. */
const PORTION = { countMax: 50, storedBytesMax: 64 * 1024 };
const DOCUMENTS = { spec: true, status: true };
const BY_ID = [{ column: "id" as const, isDescending: false }];

type BundleCalls = Partial<ServiceImpl<typeof ResourceBundleService>>;

/** Makes the methods of `maestro.v1.ResourceBundleService`. */
export function createBundleCalls({ db, watchers, writer }: ConnectParts): BundleCalls {
  return {
    async list({ search, pageSize, pageToken }) {
      const condition = parseSearch(RESOURCES, search);
      const place = { after: readPageToken(pageToken), size: readPageSize(pageSize) };
      const { rows, next } = await readPage(db, condition, place);
      return {
        resourceBundles: rows.map((row) => presentBundle(row)),
        nextPageToken: next === undefined ? "" : writePageToken(next),
      };
    },
    get: async ({ id }) => ({ resourceBundle: presentBundle(await getBundle(db, id)) }),
    ...createWriteCalls(db, writer),
    ...(watchers && { watch: createWatchCall(watchers, createMessagePresentation()) }),
  };
}

/** Reads a page, a few rows at a time: what is in memory is bounded by bytes. `next` is the id to go on behind. */
async function readPage(
  db: Db,
  condition: Condition,
  { after, size }: { after: string; size: number },
): Promise<{ rows: ResourceRow[]; next: string | undefined }> {
  const wanted = { listed: RESOURCES, condition, type: "Bundle" as const, order: BY_ID };
  const found = await find(db, {
    ...wanted,
    // One more shows whether there is more.
    limit: size + 1,
    after: [after],
    documents: DOCUMENTS,
  });
  const rows: ResourceRow[] = [];
  let [bytes, taken] = [0, 0];
  for (const ids of portions(found.slice(0, size), PORTION)) {
    const read = await q.resourceReadListed(db, ids, DOCUMENTS.spec, DOCUMENTS.status);
    const byId = new Map(read.map((row) => [row.id, row]));
    for (const id of ids) {
      if (bytes >= PAGE_BYTES_MAX) break;
      taken++;
      const row = byId.get(id);
      // It has gone meanwhile.
      if (row === undefined) continue;
      rows.push(row);
      bytes += row.spec.length + (row.status?.length ?? 0);
    }
    if (bytes >= PAGE_BYTES_MAX) break;
  }
  return { rows, next: taken < found.length ? found[taken - 1]?.id : undefined };
}

async function getBundle(db: Db, id: string): Promise<ResourceRow> {
  if (id === "") throw new MaestroError("invalid_argument", "id is required");
  return await getResource(db, id, "Bundle");
}
