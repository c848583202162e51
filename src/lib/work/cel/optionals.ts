/** Functions of values that may be missing. */

import { func, method, type Overload } from "./functions.ts";
import { CelError, CelMap, isList, numberOf, Optional, type Value } from "./values.ts";

const NONE = new Optional(undefined);
const OPTIONAL = "optional_type";

function isZero(value: Value): boolean {
  if (value === null || value === false || value === "") return true;
  const number = numberOf(value);
  if (number !== undefined) return Number(number) === 0;
  if (isList(value) || value instanceof Uint8Array) return value.length === 0;
  if (value instanceof CelMap) return value.size === 0;
  if (value instanceof Optional) return value.value === undefined;
  return typeof value === "object" && "nanos" in value && value.nanos === 0n;
}

function valueOf({ value }: Optional): Value {
  if (value === undefined) throw new CelError("optional.none() dereference");
  return value;
}

/** `optional.of(x)`, `x.orValue(y)` and their like. */
export const optionalFunctions: readonly Overload[] = [
  func("optional.none", "", () => NONE),
  func("optional.of", "dyn", (value: Value) => new Optional(value), "cheap"),
  func(
    "optional.ofNonZeroValue",
    "dyn",
    (value: Value) => isZero(value) ? NONE : new Optional(value),
    "cheap",
  ),
  func(
    "optional.unwrap",
    "list",
    (list: Optional[]) => list.flatMap(({ value }) => value === undefined ? [] : [value]),
  ),
  method(
    "unwrapOpt",
    "list",
    (list: Optional[]) => list.flatMap(({ value }) => value === undefined ? [] : [value]),
  ),
  method("hasValue", OPTIONAL, ({ value }: Optional) => value !== undefined),
  method("value", OPTIONAL, valueOf),
  // Called for a missing value only.
  method("or", `${OPTIONAL},${OPTIONAL}`, (_: Optional, other: Optional) => other),
  method("orValue", `${OPTIONAL},dyn`, (_: Optional, other: Value) => other, "cheap"),
];
