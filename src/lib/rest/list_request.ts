/** What is asked of a list. */

import type { Listed } from "../search/listed.ts";
import { type OrderTerm, parseOrder } from "../search/order.ts";
import { parseSearch } from "../search/parse.ts";
import { badRequest } from "../search/refusal.ts";
import type { Condition } from "../search/tree.ts";
import { type Model, parseFields } from "./fields.ts";
import { integer, parsePage, SIZE_DEFAULT, SIZE_MAX } from "./list.ts";
import { decodePlace, encodePlace, fingerprint } from "./list_token.ts";

export interface ListRequest {
  condition: Condition;
  order: OrderTerm[];
  fields: string[] | undefined;
  page: number;
  limit: number;
  offset: string;
  after: string[] | undefined;
  /** The token for what comes behind a place; undefined if pages are asked for. */
  goOn: ((after: string[]) => string) | undefined;
}

const PARAMETERS = ["search", "orderBy", "fields"];

/** Reads the parameters of a list: pages by `page` and `size`, or a walk by `limit` and `continue`. */
export function parseListRequest(
  { kind, listed, model }: { kind: string; listed: Listed; model: Model },
  query: URLSearchParams,
): ListRequest {
  const search = query.get("search") ?? "";
  const condition = parseSearch(listed, search);
  const order = parseOrder(listed, query.get("orderBy") ?? "");
  const fields = parseFields(model, query.get("fields") ?? "");
  const asked = { condition, order, fields };
  if (!query.has("limit") && !query.has("continue")) {
    const { page, limit, offset } = parsePage(query, { supported: PARAMETERS });
    return { ...asked, page, limit, offset: String(offset), after: undefined, goOn: undefined };
  }
  const other = ["page", "size"].find((name) => query.has(name));
  if (other !== undefined) {
    throw badRequest(`the parameter "${other}" does not go with "limit" and "continue"`);
  }
  const list = fingerprint(kind, search, order);
  const token = query.get("continue")?.trim();
  const place = token ? decodePlace(token, list, listed, order) : undefined;
  const page = place?.page ?? 1;
  return {
    ...asked,
    page,
    limit: parseLimit(query),
    offset: "0",
    after: place?.after,
    goOn: (after) => encodePlace(list, { page: page + 1, after }),
  };
}

function parseLimit(query: URLSearchParams): number {
  const limit = integer(query, "limit") ?? SIZE_DEFAULT;
  if (limit >= 1 && limit <= SIZE_MAX) return limit;
  throw badRequest(`the parameter "limit" must be a whole number from 1 to ${SIZE_MAX}`);
}
