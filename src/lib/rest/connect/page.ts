/** Pages by token: a list goes on behind the last id that was told, whatever came or went meanwhile. */

import { MaestroError } from "../../errors.ts";

const SIZE_DEFAULT = 100;
const SIZE_MAX = 500;
const TOKEN_LENGTH_MAX = 1_000;
const PREFIX = "1.";

/** How many are asked for. Throws `invalid_argument` for less than none. */
export function readPageSize(size: number): number {
  if (size < 0) {
    throw new MaestroError("invalid_argument", `page_size must not be negative, and is ${size}`);
  }
  return size === 0 ? SIZE_DEFAULT : Math.min(size, SIZE_MAX);
}

/** The id after which a page begins; empty for the first. Throws `invalid_argument` if we never wrote it. */
export function readPageToken(token: string): string {
  if (token === "") return "";
  const isText = token.length <= TOKEN_LENGTH_MAX && /^[\w-]+$/.test(token);
  const plain = isText ? Buffer.from(token, "base64url").toString("utf8") : "";
  if (plain.startsWith(PREFIX) && !plain.includes("\0")) return plain.slice(PREFIX.length);
  throw new MaestroError(
    "invalid_argument",
    "Cannot read page_token: it must be the next_page_token of a page, as it came",
  );
}

/** The token of a page that begins after this id. */
export function writePageToken(id: string): string {
  return Buffer.from(PREFIX + id).toString("base64url");
}
