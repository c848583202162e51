/**
 * Reads a search: `consumer_name = 'a' and (version > 2 or not name like 'web-%')`.
 *
 * Peers have two grammars, and take that with paths into documents if `->>` or `@>` occurs. Here one is a superset of both.
 * What differs between them stays different: how a quote is written in a string, and whether values need quotes.
 */

import { columnName, type Listed, toField } from "./listed.ts";
import { badRequest } from "./refusal.ts";
import { createScanner, type Scanner } from "./scanner.ts";
import {
  type Condition,
  EVERYTHING,
  type Field,
  negate,
  type Operator,
  type Test,
} from "./tree.ts";
import { checkValue } from "./values.ts";

export const LENGTH_MAX = 20_000;
/** Tests, and values in lists. The Go client asks for each of its consumers by name. */
export const TERMS_MAX = 1_000;
export const DEPTH_MAX = 50;

const WORD = /[A-Za-z_][A-Za-z0-9_.]*/y;
const DOUBLED = /'((?:[^']|'')*)'/y;
const ESCAPED = /'((?:[^'\\]|''|\\[^])*)'/y;
const NUMBER = /[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const BARE = /[^\s'(),]+/y;
const COMPARISON = /<>|!=|<=|>=|=|<(?!>)|>/y;
const ARROW = /->>?/y;
const [OPEN, CLOSE, COMMA] = [/\(/y, /\)/y, /,/y];
const [CONTAINS, REGEX] = [/@>/y, /~[=!]/y];
const OPERATORS = "an operator";
const JOINTS = "and, or, or the end";

interface Reading {
  listed: Listed;
  scanner: Scanner;
  isJsonb: boolean;
  terms: number;
  depth: number;
}

/** Reads a search; an empty one lets everything pass. Throws with what is wrong, and where. */
export function parseSearch(listed: Listed, given: string): Condition {
  const text = given.trim();
  if (text === "") return EVERYTHING;
  if (text.length > LENGTH_MAX) {
    throw badRequest(`Failed to parse search query: it has more than ${LENGTH_MAX} characters`);
  }
  const isJsonb = /->>|@>/.test(text);
  const scanner = createScanner(text, isJsonb);
  const reading = { listed, scanner, isJsonb, terms: 0, depth: 0 };
  const condition = readAny(reading);
  scanner.expectEnd(JOINTS);
  return condition;
}

function readAny(reading: Reading): Condition {
  const found = [readAll(reading)];
  while (reading.scanner.takeWord("or")) found.push(readAll(reading));
  return found.length === 1 && found[0] ? found[0] : { any: joinValues(found) };
}

function readAll(reading: Reading): Condition {
  const found = [readOne(reading)];
  while (reading.scanner.takeWord("and")) found.push(readOne(reading));
  return found.length === 1 && found[0] ? found[0] : { all: found };
}

function readOne(reading: Reading): Condition {
  const { scanner } = reading;
  const isNot = scanner.takeWord("not");
  if (!isNot && !scanner.take(OPEN)) return readTest(reading);
  if (++reading.depth > DEPTH_MAX) {
    throw scanner.refuse(`no more than ${DEPTH_MAX} parentheses and nots within each other`);
  }
  const inner = isNot ? negate(readOne(reading)) : readAny(reading);
  if (!isNot && !scanner.take(CLOSE)) throw scanner.unexpected("and, or, or )");
  reading.depth--;
  return inner;
}

/** `name = 'a' or name = 'b'` is `name in ('a', 'b')`, which is one look into an index. */
function joinValues(found: Condition[]): Condition[] {
  const joined = new Map<string, Test>();
  return found.filter((one) => {
    if (!("field" in one) || one.operator !== "in" || one.isNot) return true;
    const key = JSON.stringify(one.field);
    const first = joined.get(key);
    if (first === undefined) joined.set(key, one);
    else first.values.push(...one.values);
    return first === undefined;
  });
}

function readTest(reading: Reading): Test {
  const { scanner } = reading;
  if (++reading.terms > TERMS_MAX) throw tooMany();
  const field = readField(reading);
  const test = (operator: Operator, values: string[], isNot = false) => {
    return { field, operator, isNot, values };
  };
  if (scanner.takeWord("is")) {
    const isNot = scanner.takeWord("not");
    if (!scanner.takeWord("null")) throw scanner.unexpected(isNot ? "null" : "null or not null");
    return test("null", [], isNot);
  }
  if (field.type === "json") {
    if (!scanner.take(CONTAINS)) throw scanner.unexpected("->, ->>, @> or is");
    return test("contains", [readValue(reading, field, "contains")]);
  }
  const isText = field.type === "text" || field.type === "path text";
  const regex = isText ? scanner.take(REGEX) : undefined;
  if (regex) return test("regex", [readValue(reading, field, "regex")], regex[0] === "~!");
  const isNot = scanner.takeWord("not");
  for (const like of ["like", "ilike"] as const) {
    if (!isText || !scanner.takeWord(like)) continue;
    return test(like, [readValue(reading, field, like)], isNot);
  }
  if (scanner.takeWord("in")) return test("in", readList(reading, field), isNot);
  if (field.type !== "path text" && scanner.takeWord("between")) {
    const low = readValue(reading, field, "between");
    if (!scanner.takeWord("and")) throw scanner.unexpected("and");
    return test("between", [low, readValue(reading, field, "between")], isNot);
  }
  const comparison = isNot ? undefined : scanner.take(COMPARISON)?.[0];
  if (comparison === undefined) {
    throw scanner.unexpected(isNot ? "like, ilike, in or between" : OPERATORS);
  }
  if (["=", "<>", "!="].includes(comparison)) {
    return test("in", [readValue(reading, field, "in")], comparison !== "=");
  }
  // What is in a document has no order that would suit numbers and texts alike.
  if (field.type === "path text") throw scanner.refuse("=, <>, in, like, ilike, ~=, ~! or is");
  const order = comparison as Operator;
  return test(order, [readValue(reading, field, order)]);
}

function readField({ listed, scanner }: Reading): Field {
  const word = scanner.take(WORD)?.[0];
  if (word === undefined) throw scanner.unexpected("a field name, not or (");
  const name = columnName(listed, word);
  const path: string[] = [];
  let isText = false;
  for (let arrow; !isText && (arrow = scanner.take(ARROW));) {
    const key = scanner.take(DOUBLED)?.[1];
    if (key === undefined) throw scanner.unexpected("a key in single quotes");
    if (key.includes("\0")) throw scanner.refuse("a key without \\u0000");
    path.push(key.replaceAll("''", "'"));
    isText = arrow[0] === "->>";
  }
  return toField(listed, name, path, isText);
}

function readList(reading: Reading, field: Field): string[] {
  const { scanner } = reading;
  if (!scanner.take(OPEN)) throw scanner.unexpected("(");
  const values: string[] = [];
  do {
    values.push(readValue(reading, field, "in"));
    if (values.length > 1 && ++reading.terms > TERMS_MAX) throw tooMany();
  } while (scanner.take(COMMA));
  if (!scanner.take(CLOSE)) throw scanner.unexpected(", or )");
  return values;
}

function readValue({ scanner, isJsonb }: Reading, field: Field, operator: Operator): string {
  const quoted = scanner.take(isJsonb ? ESCAPED : DOUBLED)?.[1];
  const text = quoted === undefined
    ? scanner.take(isJsonb ? BARE : NUMBER)?.[0]
    // Any other backslash belongs to the value, which may be JSON.
    : isJsonb
    ? quoted.replaceAll(/''|\\'|\\\\/g, (pair) => pair === "\\\\" ? pair : "'")
    : quoted.replaceAll("''", "'");
  if (text === undefined) {
    throw scanner.unexpected(isJsonb ? "a value" : "a value in single quotes or a number");
  }
  const checked = checkValue(field, operator, text);
  if ("expected" in checked) throw scanner.refuse(checked.expected);
  return checked.value;
}

function tooMany(): Error {
  return badRequest(
    "failed to parse the search query: " +
      `maximum number of permitted joins (${TERMS_MAX}) exceeded`,
  );
}
