/** The parameters and the envelope that all lists share. */

import type { JsonObject } from "../json.ts";
import { badRequest } from "../search/refusal.ts";

/** What part of a list is asked for. */
export interface Page {
  page: number;
  limit: number;
  offset: number;
}

/** Rows of a page if nothing else is said. */
export const SIZE_DEFAULT = 100;
/** The most rows of one page. A larger or a negative size asks for as many as there may be. */
export const SIZE_MAX = 65_500;
const PAGE_MAX = 2_147_483_647;

/** Understood by peers' servers. Where they are not here they are refused and not ignored, so that no list is mistaken. */
const OPTIONAL = ["search", "orderBy", "fields"];

/** Reads `page` and `size`. A page below 1 is the first, as peers have it. */
export function parsePage(
  query: URLSearchParams,
  { supported = [] }: { supported?: string[] } = {},
): Page {
  for (const name of OPTIONAL) {
    if (supported.includes(name) || !query.get(name)?.trim()) continue;
    const names = ["page", "size", ...supported].join(", ").replace(/, (\w+)$/, " and $1");
    throw badRequest(`the parameter "${name}" is not supported here; supported are ${names}`);
  }
  const page = Math.max(1, integer(query, "page") ?? 1);
  const size = integer(query, "size") ?? SIZE_DEFAULT;
  const limit = size < 0 || size > SIZE_MAX ? SIZE_MAX : size;
  return { page, limit, offset: (page - 1) * limit };
}

/** A list as clients see it: `size` is the number of items on this page, `total` that of all. */
export function presentList(
  kind: string,
  items: JsonObject[],
  { page, total }: { page: number; total: number },
): JsonObject {
  return { items, kind, page, size: items.length, total };
}

/** A parameter that is a whole number; undefined if it is not there. */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)?.trim();
  if (!text) return undefined;
  const number = Number(text);
  if (/^[+-]?\d+$/.test(text) && Math.abs(number) <= PAGE_MAX) return number;
  const shown = JSON.stringify(text.slice(0, 100));
  throw badRequest(`the parameter "${name}" must be a whole number, not ${shown}`);
}
