/** A list as JSON, piece by piece: what is in memory of it is two pieces, however long it is. */

import type { Db } from "../db/connect.ts";
import type { Found } from "../db/find.ts";
import type { GarbageLimit } from "../garbage.ts";
import { canonicalJson } from "../json.ts";
import { portions } from "../portions.ts";
import { project } from "./fields.ts";
import type { Documents, ListKind } from "./list_kinds.ts";

export interface ListContent {
  kind: ListKind;
  found: Found[];
  documents: Documents;
  fields: string[] | undefined;
  page: number;
  /** Counted while the list is read already. */
  total: Promise<number>;
  /** The token for what comes behind. */
  next: string | undefined;
}

/** As PostgreSQL keeps it: JSON is a few times as large, and a hundred times at the very most. */
const PIECE_BYTES = 512 * 1024;
const FIRST_PIECE_BYTES = 64 * 1024;
/** A list of no more rows is short, unless they are large. */
export const PIECE_ROWS = 500;

/** The ids of each piece. */
export function cut(found: Found[]): string[][] {
  return [...portions(found, {
    ...{ countMax: PIECE_ROWS, storedBytesMax: PIECE_BYTES, firstBytesMax: FIRST_PIECE_BYTES },
  })];
}

/**
 * Writes the list. Its rows are those of one instant, in its order; each is shown as it is when it is read.
 * One that is gone by then is left out, and not counted in `size`.
 */
export async function* writePieces(
  db: Db,
  content: ListContent,
  garbage: GarbageLimit,
): AsyncGenerator<Uint8Array> {
  const { kind, found, documents, fields, page, next } = content;
  const parts = [`{${next === undefined ? "" : `"continue":${JSON.stringify(next)},`}"items":[`];
  let size = 0;
  const pieces = cut(found);
  const read = (ids: string[] | undefined) => {
    const reading = kind.read(db, ids ?? [], documents);
    // Whoever waits for it is told; nobody may.
    reading.catch(() => {});
    return reading;
  };
  let coming = pieces.length > 0 ? read(pieces[0]) : undefined;
  for (const [index, ids] of pieces.entries()) {
    const items = new Map((await coming ?? []).map((one) => [one.id, one]));
    // The next comes while this one leaves.
    coming = index + 1 < pieces.length ? read(pieces[index + 1]) : undefined;
    for (const id of ids) {
      const item = items.get(id);
      if (item === undefined) continue;
      if (size++ > 0) parts.push(",");
      if (fields === undefined) parts.push(...item.text());
      else parts.push(canonicalJson(project(item.item(), fields)));
    }
    if (index + 1 === pieces.length) break;
    const piece = encode(parts.splice(0));
    garbage.add(piece.length);
    yield piece;
  }
  const total = await content.total;
  parts.push(`],"kind":"${kind.kind}","page":${page},"size":${size},"total":${total}}`);
  yield encode(parts);
}

/** One copy, where joining and encoding would be two. */
function encode(parts: string[]): Uint8Array {
  const lengths = parts.map((part) => Buffer.byteLength(part));
  const bytes = Buffer.allocUnsafeSlow(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const part of parts) at += bytes.write(part, at);
  return bytes;
}
