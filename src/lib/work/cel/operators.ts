/** Arithmetic, order, membership and size. */

import { func, method, type Overload } from "./functions.ts";
import { Duration, Timestamp } from "./instants.ts";
import type { Meter } from "./meter.ts";
import { CelError, CelMap, equals, int64, numberOf, Uint, type Value } from "./values.ts";

type Arithmetic = {
  int: (a: bigint, b: bigint) => bigint;
  double?: (a: number, b: number) => number;
};

const ARITHMETIC: Record<string, Arithmetic> = {
  "+": { int: (a, b) => a + b, double: (a, b) => a + b },
  "-": { int: (a, b) => a - b, double: (a, b) => a - b },
  "*": { int: (a, b) => a * b, double: (a, b) => a * b },
  "/": { int: (a, b) => a / nonZero(b, "division by zero"), double: (a, b) => a / b },
  "%": { int: (a, b) => a % nonZero(b, "modulus by zero") },
};

function nonZero(divisor: bigint, problem: string): bigint {
  if (divisor === 0n) throw new CelError(problem);
  return divisor;
}

const arithmetic = Object.entries(ARITHMETIC).flatMap(([name, { int, double }]): Overload[] => [
  func(name, "int,int", (a: bigint, b: bigint) => int64(int(a, b))),
  func(name, "uint,uint", (a: Uint, b: Uint) => new Uint(int(a.value, b.value))),
  ...(double === undefined ? [] : [func(name, "double,double", double)]),
]);

const joining: Overload[] = [
  func("+", "string,string", (a: string, b: string) => a + b),
  func("+", "bytes,bytes", (a: Uint8Array, b: Uint8Array) => new Uint8Array(Buffer.concat([a, b]))),
  func("+", "list,list", (a: Value[], b: Value[]) => [...a, ...b]),
  func(
    "+",
    "google.protobuf.Timestamp,google.protobuf.Duration",
    (a: Timestamp, b: Duration) => new Timestamp(a.nanos + b.nanos),
  ),
  func(
    "+",
    "google.protobuf.Duration,google.protobuf.Timestamp",
    (a: Duration, b: Timestamp) => new Timestamp(a.nanos + b.nanos),
  ),
  func(
    "+",
    "google.protobuf.Duration,google.protobuf.Duration",
    (a: Duration, b: Duration) => new Duration(a.nanos + b.nanos),
  ),
  func(
    "-",
    "google.protobuf.Timestamp,google.protobuf.Timestamp",
    (a: Timestamp, b: Timestamp) => new Duration(a.nanos - b.nanos),
  ),
  func(
    "-",
    "google.protobuf.Timestamp,google.protobuf.Duration",
    (a: Timestamp, b: Duration) => new Timestamp(a.nanos - b.nanos),
  ),
  func(
    "-",
    "google.protobuf.Duration,google.protobuf.Duration",
    (a: Duration, b: Duration) => new Duration(a.nanos - b.nanos),
  ),
];

/** Which of two values comes first: negative, zero or positive; NaN if neither does. */
export function order(a: Value, b: Value): number {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return orderNumbers(left, right);
  if (typeof a === "string" && typeof b === "string") {
    return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  const isTime = (a instanceof Timestamp && b instanceof Timestamp) ||
    (a instanceof Duration && b instanceof Duration);
  if (!isTime) throw new CelError("no such overload");
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
}

/** Of an integer and a double the doubles are compared, as the other implementations do. */
function orderNumbers(a: bigint | number, b: bigint | number): number {
  const isMixed = typeof a !== typeof b;
  const [left, right] = isMixed ? [Number(a), Number(b)] : [a, b];
  return left < right ? -1 : left > right ? 1 : left === right ? 0 : NaN;
}

const comparisons: Overload[] = [
  func("<", "dyn,dyn", (a: Value, b: Value) => order(a, b) < 0),
  func("<=", "dyn,dyn", (a: Value, b: Value) => order(a, b) <= 0),
  func(">", "dyn,dyn", (a: Value, b: Value) => order(a, b) > 0),
  func(">=", "dyn,dyn", (a: Value, b: Value) => order(a, b) >= 0),
];

const sizes = (["string", "bytes", "list", "map"] as const).flatMap((type) => {
  const size = (value: Value) => {
    // Characters, not units of UTF-16.
    if (typeof value === "string") return BigInt([...value].length);
    if (value instanceof CelMap) return BigInt(value.size);
    return BigInt((value as { length: number }).length);
  };
  const cost = type === "string" ? undefined : "cheap";
  return [func("size", type, size, cost), method("size", type, size, cost)];
});

/** The operators of CEL, and `size`. */
export const operatorFunctions: readonly Overload[] = [
  ...arithmetic,
  ...joining,
  ...comparisons,
  ...sizes,
  func("!_", "bool", (value: boolean) => !value),
  func("-_", "int", (value: bigint) => int64(-value)),
  func("-_", "double", (value: number) => -value),
  func("in", "dyn,list", function (this: Meter, item: Value, list: Value[]) {
    return list.some((member) => equals(item, member));
  }),
  func("in", "dyn,map", (key: Value, map: CelMap) => map.get(key) !== undefined, "cheap"),
];
