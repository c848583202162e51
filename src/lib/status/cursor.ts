/** Places in the change feed, and the short texts by which subscribers come back to them. */

import { MaestroError } from "../errors.ts";

/** A place in the feed: everything up to this entry has been told. */
export interface Position {
  xid: string;
  id: string;
}

/** A place, and the feed that it belongs to. */
export interface Cursor extends Position {
  epoch: string;
}

const CURSOR = /^1\.([0-9a-f]{12})\.(\d{1,20})\.(\d{1,19})$/;
const CURSOR_LENGTH_MAX = 100;
const XID_MAX = 2n ** 64n - 1n;
const ID_MAX = 2n ** 63n - 1n;

/** Which of two places comes first: negative, zero or positive. */
export function comparePositions(a: Position, b: Position): number {
  const [left, right] = a.xid === b.xid ? [a.id, b.id] : [a.xid, b.xid];
  return left === right ? 0 : BigInt(left) < BigInt(right) ? -1 : 1;
}

/** The cursor as subscribers keep it. What is in it is nobody's business but ours. */
export function encodeCursor({ epoch, xid, id }: Cursor): string {
  return Buffer.from(`1.${epoch}.${xid}.${id}`).toString("base64url");
}

/** Reads a cursor. Throws `invalid_argument` if we never wrote it. */
export function decodeCursor(text: string): Cursor {
  if (text.length <= CURSOR_LENGTH_MAX && /^[\w-]+$/.test(text)) {
    const plain = Buffer.from(text, "base64url").toString("latin1");
    const [, epoch, xid, id] = CURSOR.exec(plain) ?? [];
    if (epoch && xid && id && BigInt(xid) <= XID_MAX && BigInt(id) <= ID_MAX) {
      return { epoch, xid, id };
    }
  }
  throw new MaestroError(
    "invalid_argument",
    "Cannot read the cursor: it must be the id of an event of this feed, as it came",
  );
}

/** The answer to a cursor from which the feed cannot go on without a gap. */
export function tooOld(reason: string): MaestroError {
  return new MaestroError("gone", `The cursor is too old, list again: ${reason}`);
}
