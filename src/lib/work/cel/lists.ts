/** Kubernetes' functions of lists, and the one for an object's conditions. */

import { func, method, type Overload } from "./functions.ts";
import { order } from "./operators.ts";
import { CelError, CelMap, equals, int64, isList, Uint, type Value } from "./values.ts";
import { Duration } from "./instants.ts";

function extreme(list: readonly Value[], direction: 1 | -1, name: string): Value {
  const [first, ...rest] = list;
  if (first === undefined) throw new CelError(`${name} called on empty list`);
  return rest.reduce(
    (best, item) => order(item, best) * direction > 0 ? item : best,
    first,
  );
}

function sum(list: readonly Value[]): Value {
  const [first, ...rest] = list;
  // Of an empty list nobody knows the type of the members.
  return first === undefined ? 0n : rest.reduce(add, first);
}

function add(a: Value, b: Value): Value {
  if (typeof a === "bigint" && typeof b === "bigint") return int64(a + b);
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (a instanceof Uint && b instanceof Uint) return new Uint(a.value + b.value);
  if (a instanceof Duration && b instanceof Duration) return new Duration(a.nanos + b.nanos);
  throw new CelError("no such overload");
}

function isSorted(list: readonly Value[]): boolean {
  return list.every((item, index) => index === 0 || order(list[index - 1] as Value, item) <= 0);
}

function hasConditions(value: Value): boolean {
  const conditions = value instanceof CelMap ? value.get("conditions") : undefined;
  return conditions !== undefined && isList(conditions) && conditions.length > 0;
}

/** `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf` and `hasConditions`. */
export const listFunctions: readonly Overload[] = [
  method("isSorted", "list", isSorted),
  method("sum", "list", sum),
  method("min", "list", (list: Value[]) => extreme(list, -1, "min")),
  method("max", "list", (list: Value[]) => extreme(list, 1, "max")),
  method(
    "indexOf",
    "list,dyn",
    (list: Value[], wanted: Value) => BigInt(list.findIndex((item) => equals(item, wanted))),
  ),
  method(
    "lastIndexOf",
    "list,dyn",
    (list: Value[], wanted: Value) => BigInt(list.findLastIndex((item) => equals(item, wanted))),
  ),
  func("hasConditions", "dyn", hasConditions, "cheap"),
];
