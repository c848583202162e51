/** In what order a list comes. */

import type { Listed } from "./listed.ts";
import { badRequest, shown } from "./refusal.ts";
import type { Column } from "./tree.ts";

export interface OrderTerm {
  column: Column;
  isDescending: boolean;
}

const TERMS_MAX = 10;
const TERM = /^(?:([A-Za-z_]+)\.)?([A-Za-z_]+)(?: (asc|desc))?$/;

/** Oldest first. */
const BY_AGE: OrderTerm[] = [{ column: "created_at", isDescending: false }];

/** Reads `name, created_at desc`. Ties are always broken by the id, so that the order is whole. */
export function parseOrder(listed: Listed, text: string): OrderTerm[] {
  const terms = text.trim() === "" ? BY_AGE : text.split(",").map((one) => readTerm(listed, one));
  if (terms.length > TERMS_MAX) {
    throw badRequest(`bad order value: it has more than ${TERMS_MAX} fields`);
  }
  // A consumer that was deleted is gone, so all are equal in this.
  const first = terms.filter(({ column }, index) =>
    terms.findIndex((term) => term.column === column) === index &&
    !(listed.table === "consumers" && column === "deleted_at")
  );
  const byId = first.findIndex(({ column }) => column === "id");
  if (byId >= 0) return first.slice(0, byId + 1);
  return [...first, { column: "id", isDescending: first.at(-1)?.isDescending ?? false }];
}

function readTerm(listed: Listed, text: string): OrderTerm {
  const term = text.trim();
  const [, table = listed.table, name = "", direction] = TERM.exec(term) ?? [];
  const column = name.toLowerCase();
  const type = Object.hasOwn(listed.columns, column) ? listed.columns[column] : undefined;
  if (table.toLowerCase() === listed.table && type !== undefined && type !== "json") {
    return { column: column as Column, isDescending: direction === "desc" };
  }
  const known = Object.keys(listed.columns).filter((key) => listed.columns[key] !== "json");
  throw badRequest(
    `bad order value '${
      shown(term)
    }': it must be a field, with asc or desc behind it if you like; ` +
      `fields are ${known.join(", ")}`,
  );
}
