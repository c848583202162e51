/** Resource bundles over Connect. */

import type { ServiceImpl } from "@connectrpc/connect";
import * as q from "../../../gen/queries.ts";
import type { ResourceBundleService } from "../../../gen/maestro/v1/resource_bundle_pb.ts";
import type { Db } from "../../db/connect.ts";
import { MaestroError } from "../../errors.ts";
import type { ResourceRow } from "../../spec/door.ts";
import { notFound } from "../../spec/refusals.ts";
import { asSqlFilter, type BundleFilter, parseBundleSearch } from "../bundle_search.ts";
import { readPageSize, readPageToken, writePageToken } from "./page.ts";
import { createMessagePresentation, presentBundle } from "./present.ts";
import type { ConnectParts } from "./router.ts";
import { createWatchCall } from "./watch.ts";
import { createWriteCalls } from "./writes.ts";

/** A page of larger bundles is shorter than it was asked for. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Read first, to learn how large they are. */
const FIRST_ROWS = 10;

type BundleCalls = Partial<ServiceImpl<typeof ResourceBundleService>>;

/** Makes the methods of `maestro.v1.ResourceBundleService`. */
export function createBundleCalls({ db, watchers, writer }: ConnectParts): BundleCalls {
  return {
    async list({ search, pageSize, pageToken }) {
      const filter = parseBundleSearch(search);
      const size = readPageSize(pageSize);
      const { rows, isLast } = await readPage(db, filter, {
        after: readPageToken(pageToken),
        size,
      });
      return {
        resourceBundles: rows.map((row) => presentBundle(row)),
        nextPageToken: isLast ? "" : writePageToken(rows.at(-1)?.id ?? ""),
      };
    },
    get: async ({ id }) => ({ resourceBundle: presentBundle(await getBundle(db, id)) }),
    ...createWriteCalls(db, writer),
    ...(watchers && { watch: createWatchCall(watchers, createMessagePresentation()) }),
  };
}

/** Reads a page, a few rows at a time: what is in memory is bounded by bytes, not by rows. */
async function readPage(
  db: Db,
  filter: BundleFilter,
  { after, size }: { after: string; size: number },
): Promise<{ rows: ResourceRow[]; isLast: boolean }> {
  const rows: ResourceRow[] = [];
  let bytes = 0;
  let limit = Math.min(size, FIRST_ROWS);
  for (;;) {
    const last = rows.at(-1)?.id ?? after;
    const more = await q.resourcePageBundles(db, ...asSqlFilter(filter), last, limit);
    rows.push(...more);
    bytes += more.reduce((sum, row) => sum + row.spec.length + (row.status?.length ?? 0), 0);
    if (more.length < limit) return { rows, isLast: true };
    if (rows.length >= size || bytes >= PAGE_BYTES_MAX) return { rows, isLast: false };
    const fitting = Math.ceil((PAGE_BYTES_MAX - bytes) / (bytes / rows.length));
    limit = Math.min(size - rows.length, fitting);
  }
}

async function getBundle(db: Db, id: string): Promise<ResourceRow> {
  if (id === "") throw new MaestroError("invalid_argument", "id is required");
  const [row] = await q.resourceGet(db, id);
  if (row?.type !== "Bundle") throw notFound(id);
  return row;
}
