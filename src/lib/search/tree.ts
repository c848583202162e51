/** A search as a tree, in which no text of the caller's is anything but a value. */

/** What a test is about: a column, or what a path leads to in a document. */
export interface Field {
  column: Column;
  /** Keys below a column that holds a document. */
  path: string[];
  /** `text` is what `->>` gives, `json` what a document or `->` gives. */
  type: "text" | "number" | "time" | "path text" | "json";
}

/** Columns by our own names; what the caller wrote is resolved when it is read. */
export type Column =
  | "id"
  | "name"
  | "source"
  | "consumer_name"
  | "type"
  | "version"
  | "created_at"
  | "updated_at"
  | "deleted_at"
  | "labels"
  | "metadata"
  | "spec"
  | "status";

export type Operator =
  | "in"
  | "<"
  | "<="
  | ">"
  | ">="
  | "between"
  | "like"
  | "ilike"
  | "regex"
  | "null"
  | "contains";

/** One question. Its values are texts that suit the type of the field. */
export interface Test {
  field: Field;
  operator: Operator;
  isNot: boolean;
  values: string[];
}

/**
 * What is asked for. There is no `not` but in tests: it is passed down when it is read, which changes nothing, not
 * even where a value is null. So a test that is not true never makes anything pass.
 */
export type Condition = { all: Condition[] } | { any: Condition[] } | Test;

/** Lets everything pass. */
export const EVERYTHING: Condition = { all: [] };

/** What passes exactly where this one is false. */
export function negate(condition: Condition): Condition {
  if ("all" in condition) return { any: condition.all.map(negate) };
  if ("any" in condition) return { all: condition.any.map(negate) };
  return { ...condition, isNot: !condition.isNot };
}

/** All tests, from left to right. */
export function testsOf(condition: Condition): Test[] {
  if ("all" in condition) return condition.all.flatMap(testsOf);
  if ("any" in condition) return condition.any.flatMap(testsOf);
  return [condition];
}

/** True if the field is about labels: those of a bundle are in its metadata. */
export function isLabels({ column, path }: Field): boolean {
  return column === "labels" || column === "metadata" && path[0] === "labels";
}

/** The keys below the labels. */
export function labelPath({ column, path }: Field): string[] {
  return column === "labels" ? path : path.slice(1);
}
