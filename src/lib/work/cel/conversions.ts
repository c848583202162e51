/** Conversions between types: `int(x)`, `string(x)`, `type(x)`. */

import { func, type Overload } from "./functions.ts";
import { type Duration, parseDuration, parseTimestamp, Timestamp } from "./instants.ts";
import { formatDouble } from "../go_number.ts";
import { CelError, int64, type Opaque, typeName, TypeValue, Uint, type Value } from "./values.ts";

const TIMESTAMP = "google.protobuf.Timestamp";
const DURATION = "google.protobuf.Duration";
const identity = (value: Value) => value;

function parseInteger(text: string, type: string, pattern: RegExp): bigint {
  if (!pattern.test(text)) {
    throw new CelError(`type conversion error from 'string' to '${type}'`);
  }
  return BigInt(text.replace(/^\+/, ""));
}

function parseDouble(text: string): number {
  if (/^[+-]?(inf|infinity)$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  if (/^[+-]?nan$/i.test(text)) return NaN;
  const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : Infinity;
  if (Number.isFinite(number)) return number;
  throw new CelError("type conversion error from 'string' to 'double'");
}

function parseBool(text: string): boolean {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new CelError(`type conversion error from 'string' to 'bool'`);
}

function whole(value: number, limits: { above: number; below: number }, problem: string): bigint {
  if (!(value > limits.above && value < limits.below)) throw new CelError(problem);
  return BigInt(Math.trunc(value));
}

function textOfBytes(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CelError("invalid UTF-8 in bytes, cannot convert to string", { cause });
  }
}

/** Everything that makes one type of another. */
export const conversionFunctions: readonly Overload[] = [
  func("dyn", "dyn", identity, "cheap"),
  func("type", "dyn", (value: Value) => new TypeValue(typeName(value)), "cheap"),
  func("int", "int", identity),
  func("int", "uint", ({ value }: Uint) => int64(value)),
  func(
    "int",
    "double",
    (value: number) => whole(value, { above: -(2 ** 63), below: 2 ** 63 }, "integer overflow"),
  ),
  func("int", "string", (text: string) => int64(parseInteger(text, "int", /^[+-]?\d+$/))),
  func("int", TIMESTAMP, ({ seconds }: Timestamp) => seconds),
  func("int", DURATION, ({ nanos }: Duration) => nanos),
  func("uint", "uint", identity),
  func("uint", "int", (value: bigint) => new Uint(value)),
  func(
    "uint",
    "double",
    (value: number) =>
      new Uint(whole(value, { above: -1, below: 2 ** 64 }, "unsigned integer overflow")),
  ),
  func("uint", "string", (text: string) => new Uint(parseInteger(text, "uint", /^\d+$/))),
  func("double", "double", identity),
  func("double", "int", Number),
  func("double", "uint", ({ value }: Uint) => Number(value)),
  func("double", "string", parseDouble),
  func("bool", "bool", identity),
  func("bool", "string", parseBool),
  func("bytes", "bytes", identity),
  func("bytes", "string", (text: string) => new Uint8Array(Buffer.from(text))),
  func("string", "string", identity),
  func("string", "bool", String),
  func("string", "int", String),
  func("string", "uint", ({ value }: Uint) => String(value)),
  func("string", "double", (value: number) => formatDouble(value, 6)),
  func("string", "bytes", textOfBytes),
  func("string", TIMESTAMP, String),
  func("string", DURATION, String),
  func("string", "net.IP", (ip: Opaque) => String(ip)),
  func("string", "net.CIDR", (cidr: Opaque) => String(cidr)),
  func("timestamp", TIMESTAMP, identity),
  func("timestamp", "string", parseTimestamp),
  func("timestamp", "int", (seconds: bigint) => new Timestamp(seconds * 1_000_000_000n)),
  func("duration", DURATION, identity),
  func("duration", "string", parseDuration),
];
