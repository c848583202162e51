/** Splits a jq program into tokens. */

import { keepNumber } from "../../json.ts";
import { JqError } from "./values.ts";

/** A piece of a program. A text has its parts: characters, or the source of an interpolation. */
export type Token =
  | { kind: "sign" | "word" | "variable" | "field" | "format"; text: string }
  | { kind: "number"; value: unknown }
  | { kind: "string"; parts: (string | Token[])[]; text: string }
  | { kind: "end"; text: string };

const PROGRAM_LENGTH_MAX = 100_000;

const SPACE = /(?:\s+|#[^\n]*)+/y;
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y;
const VARIABLE = /\$(?:__loc__|[A-Za-z_]\w*)/y;
const FIELD = /\.[A-Za-z_]\w*/y;
const WORD = /[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*/y;
const FORMAT = /@[A-Za-z0-9]+/y;
const SIGN = /\?\/\/=?|\/\/=|\|=|\+=|-=|\*=|\/=|%=|==|!=|<=|>=|\/\/|\.\.|[-+*/%=<>|,.:;()[\]{}?]/y;

/** All tokens of a program, the end as the last. Throws a `JqError`. */
export function tokenize(source: string): Token[] {
  if (source.length > PROGRAM_LENGTH_MAX) throw new JqError("the program is too long");
  const { tokens, end } = read(source, 0, undefined);
  if (end < source.length) throw new JqError(`unexpected token "${source[end]}"`);
  return tokens;
}

function read(source: string, start: number, closing: ")" | undefined) {
  const tokens: Token[] = [];
  let at = start;
  let depth = 0;
  const match = (expression: RegExp) => {
    expression.lastIndex = at;
    return expression.exec(source)?.[0];
  };
  for (;;) {
    at += match(SPACE)?.length ?? 0;
    if (at >= source.length) break;
    if (closing !== undefined && depth === 0 && source[at] === closing) break;
    if (source[at] === '"') {
      const text = readString(source, at + 1);
      tokens.push({ kind: "string", parts: text.parts, text: "string" });
      at = text.end;
      continue;
    }
    const number = match(NUMBER);
    if (number !== undefined) tokens.push({ kind: "number", value: numberFrom(number) });
    const [kind, text] = number !== undefined ? ["number", number] : firstOf(match);
    if (text === undefined) throw new JqError(`unexpected token "${source[at]}"`);
    if (text === "(") depth++;
    if (text === ")") depth--;
    if (kind !== "number") tokens.push({ kind, text } as Token);
    at += text.length;
  }
  return { tokens: [...tokens, { kind: "end", text: "end of the program" } as Token], end: at };
}

function firstOf(match: (expression: RegExp) => string | undefined) {
  const kinds = { variable: VARIABLE, field: FIELD, word: WORD, format: FORMAT, sign: SIGN };
  for (const [kind, expression] of Object.entries(kinds)) {
    const text = match(expression);
    if (text !== undefined) return [kind, text];
  }
  return [undefined, undefined];
}

function numberFrom(text: string): unknown {
  // JSON knows no `.5` and no `5.`; integers keep all their digits.
  return /^\d+$/.test(text) ? keepNumber(text.replace(/^0+(?=\d)/, "")) : Number(text);
}

const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function readString(source: string, start: number) {
  const parts: (string | Token[])[] = [];
  let text = "";
  let at = start;
  while (source[at] !== '"') {
    const char = source[at];
    if (char === undefined) throw new JqError("unterminated string literal");
    const escaped = source[at + 1] ?? "";
    if (char !== "\\") {
      text += char;
      at++;
    } else if (escaped === "(") {
      const inner = read(source, at + 2, ")");
      if (source[inner.end] !== ")") throw new JqError("unterminated string literal");
      parts.push(text, inner.tokens);
      text = "";
      at = inner.end + 1;
    } else {
      const unicode = /^u([0-9a-fA-F]{4})/.exec(source.slice(at + 1, at + 6))?.[1];
      const plain = ESCAPES[escaped];
      if (unicode === undefined && plain === undefined) {
        throw new JqError(`invalid escape sequence "\\${escaped}" in string literal`);
      }
      text += unicode === undefined ? plain : String.fromCharCode(parseInt(unicode, 16));
      at += unicode === undefined ? 2 : 6;
    }
  }
  return { parts: [...parts, text], end: at + 1 };
}
