/**
 * YAML as kubectl reads it, without losing a digit.
 *
 * Kubernetes' tools read YAML 1.1 in the dialect of go-yaml: `0644` is octal, `yes` and `on` are true, dates are text.
 * Integers above 2^53 and decimals such as `1.0` keep their digits, as in `json.ts`.
 */

import {
  defineMappingTag,
  defineScalarTag,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  Schema,
  seqTag,
  strTag,
} from "js-yaml";
import { describeError, MaestroError } from "./errors.ts";
import { keepNumber, parseDocument, rawNumber } from "./json.ts";

/** Aliases of aliases grow without end: what they are written out, in characters. */
const LENGTH_MAX = 8 * 1024 * 1024;
/** As deep as JSON may be. */
const DEPTH_MAX = 500;

/** Parses all documents of a text; empty ones are left out. Throws `invalid_argument` with the line. */
export function parseYaml(text: string, what: string): unknown[] {
  const fail = (reason: string, cause?: unknown) =>
    new MaestroError("invalid_argument", `Cannot read ${what}: ${reason}`, { cause });
  let documents: unknown[];
  try {
    documents = loadAll(text, { schema: KUBERNETES, maxDepth: DEPTH_MAX });
  } catch (cause) {
    const [reason = ""] = describeError(cause).split("\n");
    throw fail(cause instanceof RangeError ? "it is nested too deeply" : reason, cause);
  }
  return documents.filter((value) => value !== null && value !== undefined).map((value) => {
    const flaw = findGrowth(value);
    if (flaw !== undefined) throw fail(flaw);
    // As JSON once more, for the checks that every document goes through.
    return parseDocument(JSON.stringify(value), what);
  });
}

/** What is wrong with a document whose aliases are written out. */
function findGrowth(document: unknown): string | undefined {
  let length = 0;
  const visit = (value: unknown, depth: number): string | undefined => {
    length += typeof value === "string" ? value.length + 1 : 1;
    if (length > LENGTH_MAX) return `it is larger than ${LENGTH_MAX} characters`;
    if (depth > DEPTH_MAX) return `it is nested deeper than ${DEPTH_MAX} levels`;
    if (typeof value !== "object" || value === null) return undefined;
    for (const inner of Object.values(value)) {
      const flaw = visit(inner, depth + 1);
      if (flaw !== undefined) return flaw;
    }
    return undefined;
  };
  return visit(document, 0);
}

const WORDS = new Map<string, boolean | null>([
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, null] as const),
  ...["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"]
    .map((word) => [word, true] as const),
  ...["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"]
    .map((word) => [word, false] as const),
]);

// A zero in front means octal, so digits behind it that are not octal make no integer.
const INTEGER = /^[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
/** The longest is binary. */
const LENGTH_64_BITS = "0b".length + 64;
const NOT_IN_JSON = /^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$/;

function wordValue(text: string): boolean | null | typeof NOT_RESOLVED {
  const value = WORDS.get(text);
  return value === undefined ? NOT_RESOLVED : value;
}

function numberValue(text: string): unknown {
  if (NOT_IN_JSON.test(text)) throw new Error(`"${text}" is no number that JSON has`);
  const digits = text.replaceAll("_", "");
  const integer = INTEGER.test(text) ? integerText(digits) : undefined;
  if (integer !== undefined) return keepNumber(integer);
  return FLOAT.test(digits) && /^[-+.\d]/.test(text) ? keepNumber(floatText(digits)) : NOT_RESOLVED;
}

/** The integer in decimal; undefined for one of another base that takes more than 64 bits: to go-yaml it is none. */
function integerText(digits: string): string | undefined {
  const bare = digits.replace(/^[-+]/, "");
  const isNegative = digits.startsWith("-");
  if (/^[1-9]/.test(bare)) return isNegative ? `-${bare}` : bare;
  const short = bare.replace(/^(0[box]?)0+(?=.)/, "$1");
  // To convert it would take seconds, if it is as long as a body may be.
  if (short.length > LENGTH_64_BITS) return undefined;
  const octal = /^0([0-7]+)$/.exec(short)?.[1];
  const value = BigInt(octal === undefined ? short : `0o${octal}`);
  if (value > (isNegative ? 2n ** 63n : 2n ** 64n - 1n)) return undefined;
  return String(isNegative ? -value : value);
}

// JSON has no plus in front, no digits missing, and no leading zeros.
function floatText(digits: string): string {
  const [, sign, whole = "", fraction = "", exponent] =
    /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(digits) ?? [];
  const minus = sign === "-" ? "-" : "";
  return minus + (whole.replace(/^0+(?=\d)/, "") || "0") +
    (fraction === "" ? "" : `.${fraction}`) + (exponent === undefined ? "" : `e${exponent}`);
}

// As JSON has it: `8080: x` and `on: x` have the keys "8080" and "true".
function keyText(key: unknown): string {
  if (typeof key === "string") return key;
  return rawNumber(key) ?? JSON.stringify(key);
}

const isNeverWritten = { identify: () => false };

/** Whatever tag a document names otherwise is refused. */
const KUBERNETES = new Schema([
  strTag,
  seqTag,
  mergeTag,
  defineScalarTag("tag:yaml.org,2002:null", {
    ...{ implicit: true, resolve: wordValue, ...isNeverWritten },
    implicitFirstChars: ["", ..."~yYnNtTfFoO"],
  }),
  defineScalarTag("tag:yaml.org,2002:float", {
    ...{ implicit: true, resolve: numberValue, ...isNeverWritten },
    implicitFirstChars: [..."-+.0123456789"],
  }),
  // A map, so that a key such as __proto__ is one of many.
  defineMappingTag<Map<string, unknown>, Record<string, unknown>>("tag:yaml.org,2002:map", {
    create: () => new Map(),
    addPair(map, key, value) {
      if (typeof key === "object" && rawNumber(key) === undefined) return "a key must be a text";
      map.set(keyText(key), value);
      return "";
    },
    has: (map, key) => map.has(keyText(key)),
    keys: (map) => Object.keys(map),
    get: (map, key) => map[keyText(key)],
    finalize: (map) => Object.fromEntries(map),
    ...isNeverWritten,
  }),
]);
