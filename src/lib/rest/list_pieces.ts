/** A list as JSON, piece by piece: what is in memory of it is two pieces, however long it is. */

import type { Db } from "../db/connect.ts";
import type { Found } from "../db/find.ts";
import { canonicalJson } from "../json.ts";
import { project } from "./fields.ts";
import type { Documents, ListKind } from "./list_kinds.ts";

export interface ListContent {
  kind: ListKind;
  found: Found[];
  documents: Documents;
  fields: string[] | undefined;
  page: number;
  total: number;
  /** The token for what comes behind. */
  next: string | undefined;
}

/** As PostgreSQL keeps it: JSON is a few times as large, and a hundred times at the very most. */
const PIECE_BYTES = 128 * 1024;
const PIECE_ROWS = 200;

/** The ids of each piece. */
export function cut(found: Found[]): string[][] {
  const pieces: string[][] = [];
  let bytes = Infinity;
  for (const one of found) {
    const last = pieces.at(-1);
    if (last === undefined || bytes + one.bytes > PIECE_BYTES || last.length >= PIECE_ROWS) {
      pieces.push([one.id]);
      bytes = one.bytes;
    } else {
      last.push(one.id);
      bytes += one.bytes;
    }
  }
  return pieces;
}

/**
 * Writes the list. Its rows are those of one instant, in its order; each is shown as it is when it is read.
 * One that is gone by then is left out, and not counted in `size`.
 */
export async function* writePieces(db: Db, content: ListContent): AsyncGenerator<string> {
  const { kind, found, documents, fields, page, total, next } = content;
  let text = `{${next === undefined ? "" : `"continue":${JSON.stringify(next)},`}"items":[`;
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
    const items = new Map((await coming ?? []).map(({ id, item }) => [id, item]));
    // The next comes while this one leaves.
    coming = index + 1 < pieces.length ? read(pieces[index + 1]) : undefined;
    for (const id of ids) {
      const item = items.get(id);
      if (item === undefined) continue;
      text += `${size++ === 0 ? "" : ","}${canonicalJson(project(item, fields))}`;
    }
    if (index + 1 === pieces.length) break;
    yield text;
    text = "";
  }
  yield `${text}],"kind":"${kind.kind}","page":${page},"size":${size},"total":${total}}`;
}
