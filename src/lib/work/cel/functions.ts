/** How the functions of CEL are listed and chosen. */

import type { Meter } from "./meter.ts";
import { CelError, isOpaque, typeName, type Value, weight } from "./values.ts";

/** One way to call a function. For a method the first argument is what it is called on. */
export interface Overload {
  name: string;
  isMethod: boolean;
  /** Names of types; `dyn` takes all. */
  types: readonly string[];
  // deno-lint-ignore no-explicit-any -- the types above say what arrives
  call: (...args: any[]) => Value;
  /** The size of its arguments is no cost: it looks at one thing. */
  isCheap: boolean;
}

/** Gets the meter as `this`, for results that may be much larger than the arguments. */
type Call = Overload["call"];

/** A function: `size(x)`. */
export function func(name: string, types: string, call: Call, isCheap?: "cheap"): Overload {
  return { name, isMethod: false, types: split(types), call, isCheap: isCheap === "cheap" };
}

/** A method: `x.size()`. */
export function method(name: string, types: string, call: Call, isCheap?: "cheap"): Overload {
  return { name, isMethod: true, types: split(types), call, isCheap: isCheap === "cheap" };
}

function split(types: string): string[] {
  return types === "" ? [] : types.split(",");
}

/** All functions by name. */
export type FunctionTable = ReadonlyMap<string, readonly Overload[]>;

/** Makes a table of lists of overloads. */
export function tableOf(...lists: readonly (readonly Overload[])[]): FunctionTable {
  return Map.groupBy(lists.flat(), ({ name }) => name);
}

/** Calls the overload that takes these arguments. Throws a `CelError` if none does. */
export function callFunction(
  overloads: readonly Overload[],
  isMethod: boolean,
  args: readonly Value[],
  meter: Meter,
): Value {
  const found = overloads.find((overload) =>
    overload.isMethod === isMethod && overload.types.length === args.length &&
    overload.types.every((type, index) => isOf(args[index] as Value, type))
  );
  if (found === undefined) throw new CelError("no such overload");
  meter.charge(1);
  if (!found.isCheap) meter.charge(args.reduce((sum: number, arg) => sum + weight(arg) - 1, 0));
  return found.call.apply(meter, args as unknown[]);
}

function isOf(value: Value, type: string): boolean {
  return type === "dyn" || type === typeName(value) || (type === "opaque" && isOpaque(value));
}
