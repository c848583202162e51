/**
 * The values of CEL.
 *
 *   int bigint · uint Uint · double number · bool boolean · string string · bytes Uint8Array · null null
 *   list array · map CelMap · everything else an object that names its type
 */

import { isObject, rawNumber } from "../../json.ts";

/** A value of a kind that JavaScript does not have. */
export interface Opaque {
  readonly typeName: string;
  isEqual(other: unknown): boolean;
}

/** Any value of CEL. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | CelMap
  | Opaque;

/** What stops an expression; the message is what the user reads. */
export class CelError extends Error {}

const INT_MAX = 2n ** 63n - 1n;
const INT_MIN = -(2n ** 63n);
const UINT_MAX = 2n ** 64n - 1n;

/** The integer, or an error if 64 bits cannot hold it. */
export function int64(value: bigint, problem = "integer overflow"): bigint {
  if (value > INT_MAX || value < INT_MIN) throw new CelError(problem);
  return value;
}

/** An integer without a sign. */
export class Uint implements Opaque {
  readonly typeName = "uint";

  constructor(readonly value: bigint, problem = "unsigned integer overflow") {
    if (value < 0n || value > UINT_MAX) throw new CelError(problem);
  }

  isEqual(other: unknown): boolean {
    return other instanceof Uint && other.value === this.value;
  }
}

/** A type as a value: `type(1) == int`. */
export class TypeValue implements Opaque {
  readonly typeName = "type";

  constructor(readonly name: string) {}

  isEqual(other: unknown): boolean {
    return other instanceof TypeValue && other.name === this.name;
  }
}

/** A value that may be missing. */
export class Optional implements Opaque {
  readonly typeName = "optional_type";

  constructor(readonly value: Value | undefined) {}

  isEqual(other: unknown): boolean {
    if (!(other instanceof Optional)) return false;
    if (this.value === undefined || other.value === undefined) return this.value === other.value;
    return equals(this.value, other.value);
  }
}

type Key = string | bigint | boolean;

/** A map. Keys that are the same number are the same key, whatever their type. */
export class CelMap {
  private readonly entries = new Map<Key, { key: Value; value: Value }>();

  get size(): number {
    return this.entries.size;
  }

  /** Undefined if there is no such key, and also if nothing of this type can be one. */
  get(key: Value): Value | undefined {
    const found = keyOf(key);
    return found === undefined ? undefined : this.entries.get(found)?.value;
  }

  set(key: Value, value: Value): void {
    const found = typeof key === "number" ? undefined : keyOf(key);
    if (found === undefined) throw new CelError("unsupported key type");
    this.entries.set(found, { key, value });
  }

  keys(): Value[] {
    return [...this.entries.values()].map(({ key }) => key);
  }
}

function keyOf(value: Value): Key | undefined {
  if (typeof value === "string" || typeof value === "bigint" || typeof value === "boolean") {
    return value;
  }
  if (value instanceof Uint) return value.value;
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : undefined;
}

/** True for what has a name of its own for its type. */
export function isOpaque(value: unknown): value is Opaque {
  return typeof value === "object" && value !== null && "typeName" in value;
}

/** True for a list. */
export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The name of a value's type. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "double";
  }
  if (value === null) return "null_type";
  if (isList(value)) return "list";
  if (value instanceof CelMap) return "map";
  return value instanceof Uint8Array ? "bytes" : value.typeName;
}

const GO_TYPES: Record<string, string> = {
  int: "int64",
  uint: "uint64",
  double: "float64",
  bytes: "[]uint8",
  list: "[]interface {}",
  map: "map[string]interface {}",
  null_type: "structpb.NullValue",
  type: "string",
  "google.protobuf.Timestamp": "time.Time",
  "google.protobuf.Duration": "time.Duration",
};

/** What Go calls the type of a value; the messages of peers say it so. */
export function goTypeName(value: Value): string {
  const name = typeName(value);
  return GO_TYPES[name] ?? name;
}

/** A value of JSON. Whole numbers are integers, as Kubernetes reads them. */
export function fromJson(json: unknown): Value {
  if (json === null || json === undefined) return null;
  if (typeof json === "string" || typeof json === "boolean") return json;
  if (typeof json === "number") return Number.isInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map(fromJson);
  const digits = rawNumber(json);
  if (digits !== undefined) {
    const isInt = /^-?\d+$/.test(digits) && BigInt(digits) <= INT_MAX && BigInt(digits) >= INT_MIN;
    return isInt ? BigInt(digits) : Number(digits);
  }
  const map = new CelMap();
  if (isObject(json)) {
    for (const [key, member] of Object.entries(json)) map.set(key, fromJson(member));
  }
  return map;
}

/** The number of a numeric value, or undefined for any other. */
export function numberOf(value: Value): bigint | number | undefined {
  if (value instanceof Uint) return value.value;
  return typeof value === "bigint" || typeof value === "number" ? value : undefined;
}

/** CEL's equality: never an error, numbers compare by value. */
export function equals(a: Value, b: Value): boolean {
  const [left, right] = [numberOf(a), numberOf(b)];
  // deno-lint-ignore eqeqeq -- compares a bigint with a double by value
  if (left !== undefined && right !== undefined) return left == right;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (isList(a)) {
    return isList(b) && a.length === b.length &&
      a.every((item, index) => equals(item, b[index] as Value));
  }
  if (a instanceof CelMap) return b instanceof CelMap && mapsEqual(a, b);
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  return a.isEqual(b);
}

function mapsEqual(a: CelMap, b: CelMap): boolean {
  if (a.size !== b.size) return false;
  return a.keys().every((key) => {
    const other = b.get(key);
    return other !== undefined && equals(a.get(key) as Value, other);
  });
}

/** What a walk over a value costs: one for each ten characters, one for each element. */
export function weight(value: Value): number {
  if (typeof value === "string" || value instanceof Uint8Array) return Math.ceil(value.length / 10);
  if (isList(value)) return value.length;
  return value instanceof CelMap ? value.size : 1;
}

/** What comparing a value deeply may cost, counted up to a limit. */
export function deepWeight(value: Value, limit: number): number {
  let total = weight(value);
  const members = isList(value)
    ? value
    : value instanceof CelMap
    ? value.keys().map((key) => value.get(key) as Value)
    : [];
  for (const member of members) {
    if (total > limit) break;
    total += deepWeight(member, limit - total);
  }
  return total;
}
