/** A search as a condition of a statement. Columns are those that are written here; values are parameters. */

import type { Listed } from "../search/listed.ts";
import {
  type Column,
  type Condition,
  type Field,
  isLabels,
  labelPath,
  type Test,
} from "../search/tree.ts";
import { checkValue } from "../search/values.ts";
import { type Fragment, joined, sql } from "./fragment.ts";

const RESOURCE: Partial<Record<Column, Fragment>> = {
  id: sql`item.id`,
  name: sql`item.name`,
  source: sql`item.source`,
  consumer_name: sql`item.consumer_name`,
  type: sql`item.type`,
  version: sql`item.version`,
  created_at: sql`item.created_at`,
  updated_at: sql`item.updated_at`,
  deleted_at: sql`item.deleted_at`,
  metadata: sql`item.metadata`,
  spec: sql`item.spec`,
  status: sql`item.status`,
};
const CONSUMER: Partial<Record<Column, Fragment>> = {
  id: sql`item.id`,
  name: sql`item.name`,
  created_at: sql`item.created_at`,
  updated_at: sql`item.updated_at`,
  // A consumer is deleted at once, and then there is none.
  deleted_at: sql`null::timestamptz`,
  labels: sql`item.labels`,
};
/** As the index has it. */
const BUNDLE_LABELS = sql`(item.metadata -> 'labels')`;

const CAST = {
  "text": sql`text`,
  "path text": sql`text`,
  "json": sql`jsonb`,
  "number": sql`numeric`,
  "time": sql`timestamptz`,
};
const ORDER = { "<": sql`<`, "<=": sql`<=`, ">": sql`>`, ">=": sql`>=` };

/** The column as it is read from `item`. */
export function columnOf(listed: Listed, column: Column): Fragment {
  const found = (listed.table === "consumers" ? CONSUMER : RESOURCE)[column];
  if (found === undefined) throw new Error(`${listed.table} has no column ${column}`);
  return found;
}

/** What `item` must be to pass. */
export function asSql(listed: Listed, condition: Condition): Fragment {
  if ("all" in condition) {
    const all = condition.all.map((one) => asSql(listed, one));
    return all.length === 0 ? sql`true` : sql`(${joined(all, sql` and `)})`;
  }
  if ("any" in condition) {
    const any = condition.any.map((one) => asSql(listed, one));
    return any.length === 0 ? sql`false` : sql`(${joined(any, sql` or `)})`;
  }
  const hint = hintOf(listed, condition);
  const test = testOf(listed, condition);
  return hint === undefined ? test : sql`(${hint} and ${test})`;
}

const NARROW: readonly Column[] = ["id", "name", "consumer_name"];

/**
 * True if few rows pass, as far as that can be told from the search alone: PostgreSQL cannot tell of labels at all,
 * and of columns only once it has looked at them.
 */
export function isNarrow(condition: Condition): boolean {
  if ("all" in condition) return condition.all.some(isNarrow);
  if ("any" in condition) return condition.any.every(isNarrow);
  const { field, operator, isNot } = condition;
  if (isLabels(field)) return operator === "contains" && !isNot || asksForKey(condition);
  return operator === "in" && !isNot && NARROW.includes(field.column);
}

function testOf(listed: Listed, { field, operator, isNot, values }: Test): Fragment {
  const value = valueOf(listed, field);
  const not = isNot ? sql`not ` : sql``;
  const [first = "", second = ""] = values;
  const cast = CAST[field.type];
  // Byte by byte, so that a watch finds the same whatever the database's collation is.
  const collate = field.type === "text" || field.type === "path text" ? sql` collate "C"` : sql``;
  switch (operator) {
    case "null":
      return sql`(${value} is ${not}null)`;
    case "contains":
      return sql`(${not}${asJsonb(field, value)} @> ${first}::text::jsonb)`;
    case "in":
      if (values.length === 1) {
        return sql`(${value} ${isNot ? sql`<>` : sql`=`} ${first}::text::${cast})`;
      }
      return sql`(${not}${value} = any (${values}::text[]::${cast}[]))`;
    case "like":
      return sql`(${not}${value} like ${first}::text${collate})`;
    case "ilike":
      return sql`(${not}${value} ilike ${first}::text${collate})`;
    case "regex":
      return sql`(${not}${value} ~ ${first}::text${collate})`;
    case "between":
      return sql`(${not}${value}${collate} between ${first}::text::${cast} and ${second}::text::${cast})`;
    default:
      return sql`(${not}${value}${collate} ${ORDER[operator]} ${first}::text::${cast})`;
  }
}

function valueOf(listed: Listed, field: Field): Fragment {
  const path = isLabels(field) ? labelPath(field) : field.path;
  let value = isLabels(field) ? labelsOf(listed) : columnOf(listed, field.column);
  path.forEach((key, index) => {
    const isText = field.type === "path text" && index === path.length - 1;
    value = isText ? sql`(${value} ->> ${key}::text)` : sql`(${value} -> ${key}::text)`;
  });
  return value;
}

function asJsonb({ column }: Field, value: Fragment): Fragment {
  return column === "spec" || column === "status" ? sql`as_jsonb(${value})` : value;
}

function labelsOf(listed: Listed): Fragment {
  return listed.table === "consumers" ? sql`item.labels` : BUNDLE_LABELS;
}

/**
 * What is true of whatever passes a test of a label, and what the index of labels answers: by itself it cannot
 * compare the text of one. A hint is nothing but narrower, since nothing is negated above a test.
 */
function hintOf(listed: Listed, test: Test): Fragment | undefined {
  const { field, operator, isNot, values } = test;
  const [key, ...deeper] = labelPath(field);
  if (key === undefined || !asksForKey(test)) return undefined;
  const labels = labelsOf(listed);
  if (deeper.length > 0 || operator !== "in" || isNot) return sql`${labels} ? ${key}::text`;
  const pairs = values.flatMap((value) => [JSON.stringify(value), ...otherThanText(field, value)])
    .map((value) => sql`${labels} @> ${`{${JSON.stringify(key)}:${value}}`}::text::jsonb`);
  return sql`(${joined(pairs, sql` or `)})`;
}

/** True if only what has a label passes. */
function asksForKey({ field, operator, isNot }: Test): boolean {
  if (!isLabels(field) || field.type !== "path text") return false;
  return operator !== "null" || isNot;
}

/** A label should be a text, but nobody keeps a source from writing `{"replicas": 3}`. */
function otherThanText(field: Field, value: string): string[] {
  if (!/^[-\d[{tf]/.test(value)) return [];
  const checked = checkValue({ ...field, type: "json" }, "contains", value);
  return "value" in checked ? [checked.value] : [];
}
