/** CEL's own conformance suite, as far as it is about values that an object of Kubernetes can have. */

import { tests as suite } from "@bufbuild/cel-spec/testdata/conformance.js";
import { expect, test } from "bun:test";
import { parseDuration, parseTimestamp } from "../../src/lib/work/cel/instants.ts";
import { Meter } from "../../src/lib/work/cel/meter.ts";
import { compileCel } from "../../src/lib/work/cel/program.ts";
import {
  CelError,
  CelMap,
  equals,
  typeName,
  TypeValue,
  Uint,
  type Value,
} from "../../src/lib/work/cel/values.ts";

/** A value of the suite: an object with one member, named for its type. */
type Written = Record<string, unknown>;

interface Example {
  name?: string;
  expr: string;
  value?: Written;
  evalError?: unknown;
  typedResult?: unknown;
  container?: string;
  disableCheck?: boolean;
  disableMacros?: boolean;
  checkOnly?: boolean;
  bindings?: Record<string, { value: Written }>;
}

interface Suite {
  name: string;
  suites?: Suite[];
  tests?: { original: Example }[];
}

/** The parts that are about protobuf, enums, or extensions that condition rules do not have, are left out. */
const SUITES = [
  "basic",
  "comparisons",
  "conversions",
  "fields",
  "fp_math",
  "integer_math",
  "lists",
  "logic",
  "macros",
  "optionals",
  "parse",
  "string",
  "string_ext",
  "timestamps",
];
/** Where cel-go, which the Go agent has, differs from the specification. */
const AS_GO_HAS_IT = ["x.getMilliseconds()"];
/** Messages of protobuf, and how an expression that was not checked fails. */
const IS_ELSEWHERE =
  /TestAllTypes|google\.protobuf\.(?!Timestamp|Duration)|google\.protobuf\.\w+\{/;

function examplesOf({ suites = [], tests = [] }: Suite): Example[] {
  return [...tests.map(({ original }) => original), ...suites.flatMap(examplesOf)];
}

function isInScope(example: Example): boolean {
  const { expr, container, disableMacros, disableCheck, checkOnly, typedResult } = example;
  if (container || disableMacros || disableCheck || checkOnly || typedResult) return false;
  if (AS_GO_HAS_IT.includes(expr)) return false;
  const names = Object.keys(example.bindings ?? {});
  return !IS_ELSEWHERE.test(JSON.stringify([expr, example.value, example.bindings])) &&
    !names.some((name) => name.includes("."));
}

function read(written: Written): Value {
  const [[type, value] = ["", undefined]] = Object.entries(written);
  switch (type) {
    case "int64Value":
      return BigInt(value as string);
    case "uint64Value":
      return new Uint(BigInt(value as string));
    case "doubleValue":
      return Number(value);
    case "bytesValue":
      return new Uint8Array(Buffer.from(value as string, "base64"));
    case "typeValue":
      return new TypeValue(value as string);
    case "listValue":
      return ((value as { values?: Written[] }).values ?? []).map(read);
    case "mapValue":
      return readMap(value as { entries?: { key: Written; value: Written }[] });
    case "objectValue": {
      const { "@type": name, value: text } = value as { "@type": string; value: string };
      return name.endsWith("Timestamp") ? parseTimestamp(text) : parseDuration(text);
    }
    default:
      return value as Value;
  }
}

function readMap({ entries = [] }: { entries?: { key: Written; value: Written }[] }): CelMap {
  const map = new CelMap();
  for (const { key, value } of entries) map.set(read(key), read(value));
  return map;
}

function resultOf({ expr, bindings = {} }: Example): Value | CelError {
  try {
    const values = Object.entries(bindings).map(([name, { value }]) =>
      [name, read(value)] as const
    );
    const program = compileCel(expr, values.map(([name]) => name));
    return program.evaluate(Object.fromEntries(values), new Meter());
  } catch (error) {
    if (error instanceof CelError) return error;
    throw error;
  }
}

/** What is wrong with our result, or undefined. */
function differenceOf(example: Example): string | undefined {
  const result = resultOf(example);
  const show = result instanceof CelError ? `error: ${result.message}` : typeName(result);
  const shown = `${example.expr} gave ${show}`;
  if (example.evalError !== undefined) return result instanceof CelError ? undefined : shown;
  if (result instanceof CelError) return shown;
  const wanted = read(example.value ?? { boolValue: true });
  const isSame = equals(result, wanted) || (Number.isNaN(result) && Number.isNaN(wanted));
  return isSame && typeName(result) === typeName(wanted) ? undefined : shown;
}

test.each(SUITES)("the expressions of the conformance suite %s give what it says", (name) => {
  const found = (suite as Suite).suites?.find((part) => part.name === name) as Suite;
  const examples = examplesOf(found).filter(isInScope);

  expect(examples.length).toBeGreaterThan(4);
  expect(examples.flatMap((example) => differenceOf(example) ?? [])).toEqual([]);
});
