/** Splits an expression into words, numbers, texts and signs. */

import { CelError, int64, Uint, type Value } from "./values.ts";

/** A piece of an expression. */
export type Token =
  | { kind: "ident"; text: string; isQuoted: boolean; at: number }
  | { kind: "literal"; value: Value; at: number }
  | { kind: "sign"; text: string; at: number }
  | { kind: "end"; text: string; at: number };

/** As cel-go limits them. */
const EXPRESSION_CHARS_MAX = 100_000;

const SPACE = /(?:\s+|\/\/[^\n]*)+/y;
const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y;
const QUOTED_IDENT = /`([A-Za-z0-9_.\-/ ]+)`/y;
const NUMBER =
  /0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|\d+[uU]?/y;
const SIGN = /==|!=|<=|>=|&&|\|\||\[\?|\.\?|[-+*/%<>=!?:.,()[\]{}]/y;
const TEXT_START = /(?:[rR][bB]|[bB][rR]|[rR]|[bB])?("""|'''|"|')/y;

/** All tokens of an expression, the end as the last. Throws a `CelError`. */
export function tokenize(source: string): Token[] {
  if (source.length > EXPRESSION_CHARS_MAX) {
    throw new CelError(
      `expression code point size exceeds limit: size: ${source.length}, limit ${EXPRESSION_CHARS_MAX}`,
    );
  }
  const tokens: Token[] = [];
  let at = 0;
  const match = (expression: RegExp) => {
    expression.lastIndex = at;
    return expression.exec(source);
  };
  for (;;) {
    at += match(SPACE)?.[0].length ?? 0;
    if (at >= source.length) return [...tokens, { kind: "end", text: "<EOF>", at }];
    const start = match(TEXT_START);
    if (start !== null) {
      const { value, end } = readText(source, at, start[0], start[1] ?? "");
      tokens.push({ kind: "literal", value, at });
      at = end;
      continue;
    }
    const number = match(NUMBER);
    const isNumber = number !== null && !(number[0].startsWith(".") && isAfterValue(tokens));
    const ident = match(IDENT);
    const quoted = match(QUOTED_IDENT);
    const found = isNumber ? number : ident ?? quoted ?? match(SIGN);
    if (found === null) {
      throw syntaxError(source, at, `token recognition error at: '${source[at]}'`);
    }
    const [text] = found;
    if (found === number) tokens.push({ kind: "literal", value: readNumber(text), at });
    else if (found === ident) tokens.push({ kind: "ident", text, isQuoted: false, at });
    else if (found === quoted) {
      tokens.push({ kind: "ident", text: quoted[1] ?? "", isQuoted: true, at });
    } else tokens.push({ kind: "sign", text, at });
    at += text.length;
  }
}

/** A syntax error with its place. */
export function syntaxError(source: string, at: number, problem: string): CelError {
  return errorAt(source, at, `Syntax error: ${problem}`);
}

/** An error with its place and its line, as the compilers of CEL write it. */
export function errorAt(source: string, at: number, problem: string): CelError {
  const before = source.slice(0, at).split("\n");
  const column = [...before.at(-1) ?? ""].length;
  const line = source.split("\n")[before.length - 1] ?? "";
  return new CelError(
    `ERROR: <input>:${before.length}:${column + 1}: ${problem}\n | ${line}\n | ${
      ".".repeat(column)
    }^`,
  );
}

function isAfterValue(tokens: readonly Token[]): boolean {
  const last = tokens.at(-1);
  return last !== undefined && (last.kind !== "sign" || last.text === ")" || last.text === "]" ||
    last.text === "}");
}

function readNumber(text: string): Value {
  if (/[uU]$/.test(text)) return new Uint(BigInt(text.slice(0, -1)), "invalid uint literal");
  // One more than the largest is fine if a minus stands before it; the parser looks again.
  if (/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) {
    const value = BigInt(text);
    return value === 2n ** 63n ? value : int64(value, "invalid int literal");
  }
  return Number(text);
}

function readText(source: string, at: number, start: string, quote: string) {
  const prefix = start.slice(0, -quote.length).toLowerCase();
  const isBytes = prefix.includes("b");
  const isRaw = prefix.includes("r");
  let end = at + start.length;
  const bytes: number[] = [];
  let text = "";
  const add = (char: string) => {
    if (isBytes) bytes.push(...Buffer.from(char));
    else text += char;
  };
  while (!source.startsWith(quote, end)) {
    const char = String.fromCodePoint(source.codePointAt(end) ?? 0);
    if (end >= source.length || (quote.length === 1 && /[\n\r]/.test(char))) {
      throw syntaxError(source, at, `token recognition error at: '${source.slice(at, at + 20)}'`);
    }
    if (char !== "\\") {
      add(char);
      end += char.length;
    } else if (isRaw) {
      // A quote after a backslash is text, and so is the backslash.
      const next = String.fromCodePoint(source.codePointAt(end + 1) ?? 0);
      add(char + next);
      end += 1 + next.length;
    } else {
      const escape = readEscape(source, end, isBytes);
      if (escape.byte === undefined) add(escape.text);
      else bytes.push(escape.byte);
      end += escape.length;
    }
  }
  return { value: isBytes ? Uint8Array.from(bytes) : text, end: end + quote.length };
}

const SIMPLE: Record<string, string> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "`": "`",
  "?": "?",
};

function readEscape(source: string, at: number, isBytes: boolean) {
  const rest = source.slice(at + 1, at + 11);
  const simple = SIMPLE[rest[0] ?? ""];
  if (simple !== undefined) return { text: simple, length: 2 };
  const found = /^(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/
    .exec(rest);
  const [all = "", hex, short, long, octal] = found ?? [];
  const point = octal === undefined ? parseInt(hex ?? short ?? long ?? "", 16) : parseInt(octal, 8);
  const isSurrogate = point >= 0xd800 && point <= 0xdfff;
  const isUnicode = short !== undefined || long !== undefined;
  if (found === null || point > 0x10ffff || isSurrogate || (isBytes && isUnicode)) {
    throw syntaxError(source, at, `token recognition error at: '\\${rest[0] ?? ""}'`);
  }
  const length = all.length + 1;
  return isBytes
    ? { text: "", byte: point, length }
    : { text: String.fromCodePoint(point), length };
}
