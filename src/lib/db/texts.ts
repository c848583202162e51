/**
 * Long texts as one parameter.
 *
 * PostgreSQL reads the elements of an array byte by byte, and each quote in them has to be escaped: for documents that
 * is a sixth of what it takes to store them. One text is taken as it is, and `string_to_array` cuts it quickly.
 */

import { MaestroError } from "../errors.ts";

/** No JSON document contains it; within a string it is escaped. */
const SEPARATOR = "\x1f";

/** Joins texts for `string_to_array($1::text, E'\x1f', '')`. Null stays null; no text may be empty. */
export function joinTexts(texts: readonly (string | null)[]): string {
  for (const text of texts) {
    if (text?.includes(SEPARATOR)) {
      throw new MaestroError("invalid_argument", "Cannot store this text: it contains U+001F");
    }
    if (text === "") throw new Error("Cannot join an empty text");
  }
  return texts.join(SEPARATOR);
}
