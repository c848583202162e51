/** Finds what a list has to show: the ids in order, and how many there are in all. */

import type { Listed } from "../search/listed.ts";
import type { OrderTerm } from "../search/order.ts";
import type { Column, Condition } from "../search/tree.ts";
import { testsOf } from "../search/tree.ts";
import { badRequest } from "../search/refusal.ts";
import type { Db } from "./connect.ts";
import { type Fragment, joined, render, sql } from "./fragment.ts";
import { queryOnce, sqlState } from "./query.ts";
import { asSql, columnOf, isNarrow } from "./search.ts";
import type { Parameter } from "./types.ts";

/** What passes. */
export interface Searched {
  listed: Listed;
  condition: Condition;
  /** Only resources of this type. */
  type?: "Single" | "Bundle";
}

/** Which part of it. */
export interface Wanted extends Searched {
  order: OrderTerm[];
  limit: number;
  /** A decimal number. */
  offset?: string;
  /** Only what comes behind the place of these values, one for each term of the order. */
  after?: string[];
  /** Which documents the rows are to be read with. */
  documents: { spec: boolean; status: boolean };
}

export interface Found {
  id: string;
  /** What the row takes on disk, compressed. */
  stored_bytes: number;
  /** Its place in the order, for whoever goes on behind it. */
  place: string[];
}

/** Finds a part of a list, at one instant. */
export async function find(db: Db, wanted: Wanted): Promise<Found[]> {
  return await search(db, wanted.condition, findStatement(wanted));
}

/** Counts all that pass. It takes a look at each of them, where a part of a list is often found by an index. */
export async function count(db: Db, searched: Searched): Promise<number> {
  const { condition } = searched;
  const [row] = await search<{ total: string }>(db, condition, countStatement(searched));
  return Number(row?.total ?? 0);
}

interface Statement {
  text: string;
  parameters: Parameter[];
}

async function search<Row>(db: Db, condition: Condition, statement: Statement): Promise<Row[]> {
  return await queryOnce<Row>(db, statement.text, statement.parameters).catch((error) => {
    throw explain(error, condition);
  });
}

/** The statement, for those who look at its plan as well. */
export function findStatement(wanted: Wanted): Statement {
  const { listed, order, limit, offset = "0", after } = wanted;
  const behind = after === undefined ? sql`` : sql` and ${behindOf(listed, order, after)}`;
  const terms = order.map((term) => {
    return sql`${orderColumn(listed, term.column)}${term.isDescending ? sql` desc` : sql``}`;
  });
  const places = order.map(({ column }) => sql`${orderColumn(listed, column)}::text`);
  return render(sql`
    select item.id, ${bytesOf(wanted)} as stored_bytes, array[${joined(places, sql`, `)}] as place
    from ${passingOf(wanted)}${behind}
    order by ${joined(terms, sql`, `)}
    limit ${limit}::int offset ${offset}::bigint`);
}

/** The statement, for those who look at its plan as well. */
export function countStatement(searched: Searched): Statement {
  return render(sql`select count(*) as total from ${passingOf(searched)}`);
}

/**
 * The rows that pass. Few are looked up by themselves first: for want of knowledge PostgreSQL takes the type to be
 * narrower than a label, or walks through all in order until enough are found.
 */
function passingOf({ listed, condition, type }: Searched): Fragment {
  const from = listed.table === "consumers" ? sql`consumers item` : sql`resources item`;
  const passes = asSql(listed, condition);
  const isOfType = type === undefined ? sql`true` : sql`item.type = ${type}::text`;
  if (!isNarrow(condition)) return sql`${from} where ${passes} and ${isOfType}`;
  return sql`(select item.* from ${from} where ${passes} offset 0) item where ${isOfType}`;
}

/** What is null comes last, as PostgreSQL has it by default, but can be compared. */
function orderColumn(listed: Listed, column: Column): Fragment {
  const value = columnOf(listed, column);
  return column === "deleted_at" ? sql`coalesce(${value}, 'infinity')` : value;
}

const TYPES: Partial<Record<Column, Fragment>> = {
  version: sql`int`,
  created_at: sql`timestamptz`,
  updated_at: sql`timestamptz`,
  deleted_at: sql`timestamptz`,
};

function behindOf(listed: Listed, order: OrderTerm[], after: string[]): Fragment {
  const columns = order.map(({ column }) => orderColumn(listed, column));
  const values = order.map(({ column }, index) =>
    sql`${after[index] ?? ""}::text::${TYPES[column] ?? sql`text`}`
  );
  const signs = order.map(({ isDescending }) => isDescending ? sql`<` : sql`>`);
  // One comparison, which an index follows, unless the directions differ.
  if (order.every(({ isDescending }) => isDescending === order[0]?.isDescending)) {
    const [left, right] = [columns, values].map((each) => joined(each, sql`, `));
    return sql`(${left ?? sql``}) ${signs[0] ?? sql`>`} (${right ?? sql``})`;
  }
  const ways = order.map((_, index) => {
    const equal = columns.slice(0, index).map((column, i) => sql`${column} = ${values[i] ?? ""}`);
    return joined(
      [...equal, sql`${columns[index] ?? ""} ${signs[index] ?? ""} ${values[index] ?? ""}`],
      sql` and `,
    );
  });
  return sql`(${joined(ways, sql` or `)})`;
}

function bytesOf({ listed, documents }: Wanted): Fragment {
  if (listed.table === "consumers") return sql`coalesce(pg_column_size(item.labels), 0)`;
  return sql`coalesce(pg_column_size(item.metadata), 0)
    + case when ${documents.spec}::bool then pg_column_size(item.spec) else 0 end
    + case when ${documents.status}::bool then coalesce(pg_column_size(item.status), 0) else 0 end`;
}

const REGEX = "2201B";
/** What a value does that no check has thought of. */
const BAD_VALUE = /^(22|42883|54)/;
const CANCELLED = "57014";

/** Whoever searched has to search otherwise. */
function explain(error: unknown, condition: Condition): unknown {
  const state = sqlState(error);
  const regex = testsOf(condition).find(({ operator }) => operator === "regex");
  if (state === REGEX) {
    const text = error instanceof Error ? error.message : "";
    return badRequest(`Failed to parse search query: ${text}`, error);
  }
  if (state === CANCELLED && regex !== undefined) {
    return badRequest("Failed to parse search query: it takes too long to match", error);
  }
  if (state === undefined || !BAD_VALUE.test(state)) return error;
  return badRequest("Failed to parse search query: the database cannot compare this", error);
}
