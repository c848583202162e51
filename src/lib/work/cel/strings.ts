/** Functions of strings: those of the language, and its extension for strings. */

import { func, method, type Overload } from "./functions.ts";
import type { Meter } from "./meter.ts";
import { formatText } from "./text_format.ts";
import { CelError, type Value } from "./values.ts";

const LIMITLESS = Number.MAX_SAFE_INTEGER;

/** All positions count characters, as CEL does, where JavaScript counts units of UTF-16. */
function charsOf(text: string): string[] {
  return [...text];
}

function indexOf(text: string, part: string, from: bigint): bigint {
  const [chars, wanted] = [charsOf(text), charsOf(part)];
  if (from < 0n || from > chars.length) throw new CelError(`index out of range: ${from}`);
  for (let at = Number(from); at + wanted.length <= chars.length; at++) {
    if (wanted.every((char, index) => chars[at + index] === char)) return BigInt(at);
  }
  return -1n;
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const [chars, wanted] = [charsOf(text), charsOf(part)];
  if (from !== undefined && (from < 0n || from > chars.length)) {
    throw new CelError(`index out of range: ${from}`);
  }
  const last = chars.length - wanted.length;
  for (let at = Math.min(last, Number(from ?? last)); at >= 0; at--) {
    if (wanted.every((char, index) => chars[at + index] === char)) return BigInt(at);
  }
  return -1n;
}

function substring(text: string, start: bigint, end?: bigint): string {
  const chars = charsOf(text);
  const until = end ?? BigInt(chars.length);
  if (start < 0n || start > chars.length) throw new CelError(`index out of range: ${start}`);
  if (until < 0n || until > chars.length) throw new CelError(`index out of range: ${until}`);
  if (start > until) {
    throw new CelError(`invalid substring range. start: ${start}, end: ${until}`);
  }
  return chars.slice(Number(start), Number(until)).join("");
}

function charAt(text: string, index: bigint): string {
  const chars = charsOf(text);
  if (index < 0n || index > chars.length) throw new CelError(`index out of range: ${index}`);
  return chars[Number(index)] ?? "";
}

/** At most `limit` parts; a negative limit is none. */
function split(text: string, separator: string, limit = -1n): string[] {
  if (limit === 0n) return [];
  const parts = separator === "" ? charsOf(text) : text.split(separator);
  const max = limit < 0n ? LIMITLESS : Number(limit);
  if (parts.length <= max) return parts;
  return [...parts.slice(0, max - 1), parts.slice(max - 1).join(separator)];
}

function replace(meter: Meter, text: string, old: string, by: string, limit = -1n): string {
  const max = limit < 0n ? LIMITLESS : Number(limit);
  const parts = old === "" ? ["", ...charsOf(text), ""] : text.split(old);
  const count = Math.min(max, parts.length - 1);
  // Charged first: the result may be much larger than what is there.
  meter.charge(Math.ceil((text.length + count * by.length) / 10) + parts.length);
  const kept = parts.slice(count).join(old);
  return [...parts.slice(0, count), kept].join(by);
}

function join(meter: Meter, list: readonly Value[], separator: string): string {
  let length = 0;
  for (const item of list) {
    if (typeof item !== "string") throw new CelError("no such overload");
    length += item.length + separator.length;
  }
  meter.charge(Math.ceil(length / 10));
  return list.join(separator);
}

const ESCAPES: Record<string, string> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

function quote(text: string): string {
  return `"${charsOf(text.toWellFormed()).map((char) => ESCAPES[char] ?? char).join("")}"`;
}

const ascii = (pattern: RegExp, change: (text: string) => string) => (text: string) =>
  text.replace(pattern, change);

const OUTER_SPACE = /^\p{White_Space}+|\p{White_Space}+$/gu;

/** Methods of strings. */
export const stringFunctions: readonly Overload[] = [
  method("contains", "string,string", (text: string, part: string) => text.includes(part)),
  method("startsWith", "string,string", (text: string, part: string) => text.startsWith(part)),
  method("endsWith", "string,string", (text: string, part: string) => text.endsWith(part)),
  method("charAt", "string,int", charAt),
  method("indexOf", "string,string", (text: string, part: string) => indexOf(text, part, 0n)),
  method("indexOf", "string,string,int", indexOf),
  method("lastIndexOf", "string,string", lastIndexOf),
  method("lastIndexOf", "string,string,int", lastIndexOf),
  method("lowerAscii", "string", ascii(/[A-Z]+/g, (part) => part.toLowerCase())),
  method("upperAscii", "string", ascii(/[a-z]+/g, (part) => part.toUpperCase())),
  method(
    "replace",
    "string,string,string",
    function (this: Meter, ...args: [string, string, string]) {
      return replace(this, ...args);
    },
  ),
  method("replace", "string,string,string,int", function (
    this: Meter,
    ...args: [string, string, string, bigint]
  ) {
    return replace(this, ...args);
  }),
  method("split", "string,string", (text: string, separator: string) => split(text, separator)),
  method("split", "string,string,int", split),
  method("substring", "string,int", substring),
  method("substring", "string,int,int", substring),
  method(
    "trim",
    "string",
    (text: string) => text.replace(OUTER_SPACE, ""),
  ),
  method("reverse", "string", (text: string) => charsOf(text).reverse().join("")),
  method("join", "list", function (this: Meter, list: Value[]) {
    return join(this, list, "");
  }),
  method("join", "list,string", function (this: Meter, list: Value[], separator: string) {
    return join(this, list, separator);
  }),
  method("format", "string,list", function (this: Meter, text: string, list: Value[]) {
    const result = formatText(text, list);
    this.charge(Math.ceil(result.length / 10));
    return result;
  }),
  func("strings.quote", "string", quote),
];
