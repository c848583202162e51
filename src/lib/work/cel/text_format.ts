/** `"%s of %d".format([…])`: the clauses that CEL knows. */

import { Duration, Timestamp } from "./instants.ts";
import { formatDouble } from "../go_number.ts";
import {
  CelError,
  CelMap,
  isList,
  numberOf,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from "./values.ts";

const PRECISION_MAX = 100;

/** Fills in the clauses of a text. Throws a `CelError` for a clause or a value that does not fit. */
export function formatText(text: string, values: readonly Value[]): string {
  let index = 0;
  const result = text.replace(
    /%(?:%|(?:\.(\d+))?([A-Za-z])|)/g,
    (clause, precision: string | undefined, verb: string | undefined) => {
      if (clause === "%%") return "%";
      if (verb === undefined) {
        throw new CelError(`could not parse formatting clause: unexpected end`);
      }
      if (index >= values.length) throw new CelError(`index ${index} out of range`);
      const digits = precision === undefined ? undefined : Number(precision);
      if (digits !== undefined && digits > PRECISION_MAX) {
        throw new CelError(`could not parse formatting clause: precision ${digits} is too large`);
      }
      return formatOne(verb, values[index++] as Value, digits);
    },
  );
  return result;
}

function formatOne(verb: string, value: Value, precision: number | undefined): string {
  const refuse = (allowed: string) =>
    new CelError(
      `error during formatting: %${verb} can only be used on ${allowed}, was given ${
        typeName(value)
      }`,
    );
  const number = numberOf(value);
  switch (verb) {
    case "s":
      return textOf(value);
    case "d":
      if (typeof number === "bigint") return String(number);
      if (number === undefined || Number.isFinite(number)) throw refuse("integers");
      return infinite(number);
    case "f":
    case "e":
      if (number === undefined) throw refuse("doubles");
      return formatFraction(verb, Number(number), precision ?? 6);
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      if (typeof number !== "bigint") throw refuse("integers and bools");
      return number.toString(2);
    case "o":
      if (typeof number !== "bigint") throw refuse("integers");
      return number.toString(8);
    case "x":
    case "X": {
      const hex = hexOf(value, number);
      if (hex === undefined) throw refuse("integers, byte buffers, and strings");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    default:
      throw new CelError(
        `could not parse formatting clause: unrecognized formatting clause "${verb}"`,
      );
  }
}

function hexOf(value: Value, number: bigint | number | undefined): string | undefined {
  if (typeof number === "bigint") return number.toString(16);
  if (typeof value === "string" || value instanceof Uint8Array) {
    return Buffer.from(value as string).toString("hex");
  }
  return undefined;
}

function formatFraction(verb: "f" | "e", number: number, precision: number): string {
  if (!Number.isFinite(number)) return infinite(number);
  if (verb === "f") return toFixed(number, precision);
  return number.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
}

/** Like the method of that name, but what lies exactly in the middle goes to the even digit, as in Go. */
function toFixed(number: number, precision: number): string {
  const rounded = number.toFixed(precision);
  const exact = number.toFixed(PRECISION_MAX);
  const cut = exact.length - PRECISION_MAX + precision;
  if (!/^50*$/.test(exact.slice(cut))) return rounded;
  const down = exact.slice(0, cut).replace(/\.$/, "");
  return /[02468]$/.test(down) ? down : rounded;
}

function infinite(number: number): string {
  return Number.isNaN(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
}

function textOf(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "string") return value;
  if (typeof value === "number") {
    return Number.isFinite(value) ? formatDouble(value, 21) : infinite(value);
  }
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (isList(value)) return `[${value.map(textOf).join(", ")}]`;
  if (value instanceof CelMap) {
    const members = value.keys().map((key) => `${textOf(key)}: ${textOf(value.get(key) as Value)}`);
    return `{${members.sort().join(", ")}}`;
  }
  if (value instanceof TypeValue) return value.name;
  if (typeof value === "object" && !(value instanceof Timestamp) && !(value instanceof Duration)) {
    throw new CelError(
      "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, " +
        `maps, lists, types, durations, and timestamps, was given ${typeName(value)}`,
    );
  }
  return String(value);
}
