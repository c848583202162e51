/** Reads regular expressions as RE2 writes them, which have no back references and no look-around. */

import { classByName, perlClass, unicodeClass } from "./classes.ts";

/** True for a code point that belongs to a class. */
export type CharTest = (point: number) => boolean;

/** A place between two characters. */
export type Place = "textStart" | "textEnd" | "lineStart" | "lineEnd" | "word" | "noWord";

/** A parsed expression. */
export type Regex =
  | { kind: "empty" }
  | { kind: "char"; test: CharTest }
  | { kind: "place"; place: Place }
  | { kind: "group"; index: number; body: Regex }
  | { kind: "sequence"; parts: Regex[] }
  | { kind: "choice"; branches: Regex[] }
  | { kind: "repeat"; body: Regex; min: number; max: number; isLazy: boolean };

/** An expression with the names of its groups, in order; a group without a name has an empty one. */
export interface ParsedRegex {
  root: Regex;
  groups: string[];
}

interface Flags {
  isInsensitive: boolean;
  isMultiline: boolean;
  isDotAll: boolean;
  isUngreedy: boolean;
}

/** RE2's own limit for counted repetitions. */
const REPEAT_MAX = 1000;
const DEPTH_MAX = 250;

/** Parses an expression. Throws an `Error` in the words of Go. */
export function parseRegex(pattern: string, flags = ""): ParsedRegex {
  return new RegexParser(pattern, {
    isInsensitive: flags.includes("i"),
    isMultiline: flags.includes("m"),
    isDotAll: flags.includes("s"),
    isUngreedy: flags.includes("U"),
  }).parse();
}

class RegexParser {
  private readonly chars: string[];
  private at = 0;
  private depth = 0;
  private readonly groups: string[] = [];

  constructor(private readonly pattern: string, private flags: Flags) {
    this.chars = [...pattern];
  }

  parse(): ParsedRegex {
    const root = this.choice();
    if (this.at < this.chars.length) throw fail("unexpected )", this.pattern);
    return { root, groups: this.groups };
  }

  private choice(): Regex {
    if (++this.depth > DEPTH_MAX) throw fail("expression nests too deeply", this.pattern);
    const branches = [this.sequence()];
    while (this.take("|")) branches.push(this.sequence());
    this.depth--;
    return branches.length === 1 ? branches[0] as Regex : { kind: "choice", branches };
  }

  private sequence(): Regex {
    const parts: Regex[] = [];
    while (this.at < this.chars.length && !this.isNext("|") && !this.isNext(")")) {
      if (this.takeText("\\Q")) {
        while (this.at < this.chars.length && !this.takeText("\\E")) {
          parts.push(this.literal(this.next()));
        }
        continue;
      }
      parts.push(this.repeated(this.atom()));
    }
    return parts.length === 1 ? parts[0] as Regex : { kind: "sequence", parts };
  }

  private repeated(atom: Regex): Regex {
    let body = atom;
    let count = 0;
    for (;;) {
      const start = this.at;
      const range = this.range();
      if (range === undefined) return body;
      if (count++ > 0) {
        throw fail("invalid nested repetition operator", this.chars.slice(start - 1).join(""));
      }
      if (isFlagsOnly(body)) throw fail("missing argument to repetition operator", "*");
      const isLazy = this.take("?") !== this.flags.isUngreedy;
      body = { kind: "repeat", body, isLazy, ...range };
    }
  }

  private range(): { min: number; max: number } | undefined {
    if (this.take("*")) return { min: 0, max: Infinity };
    if (this.take("+")) return { min: 1, max: Infinity };
    if (this.take("?")) return { min: 0, max: 1 };
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.chars.slice(this.at, this.at + 12).join(""));
    if (found === null) return undefined;
    this.at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] ? Number(found[3]) : Infinity;
    if (min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX) || min > max) {
      throw fail("invalid repeat count", found[0]);
    }
    return { min, max };
  }

  private atom(): Regex {
    const char = this.next();
    switch (char) {
      case "(":
        return this.group();
      case "[":
        return { kind: "char", test: this.fold(this.bracket()) };
      case ".": {
        const { isDotAll } = this.flags;
        return { kind: "char", test: (point) => isDotAll || point !== 10 };
      }
      case "^":
        return { kind: "place", place: this.flags.isMultiline ? "lineStart" : "textStart" };
      case "$":
        return { kind: "place", place: this.flags.isMultiline ? "lineEnd" : "textEnd" };
      case "*":
      case "+":
      case "?":
        throw fail("missing argument to repetition operator", char);
      case "\\":
        return this.escaped();
      default:
        return this.literal(char);
    }
  }

  private escaped(): Regex {
    const char = this.next("trailing backslash at end of expression");
    const places: Record<string, Place> = {
      A: "textStart",
      z: "textEnd",
      b: "word",
      B: "noWord",
    };
    const place = places[char];
    if (place !== undefined) return { kind: "place", place };
    const named = this.namedClass(char);
    if (named !== undefined) return { kind: "char", test: this.fold(named) };
    return this.literal(this.escapedChar(char));
  }

  private namedClass(char: string): CharTest | undefined {
    const perl = perlClass(char);
    if (perl !== undefined || !/[pP]/.test(char)) return perl;
    let name = this.next("invalid character class range");
    if (name === "{") {
      name = "";
      while (!this.take("}")) name += this.next("invalid character class range");
    }
    const isNegated = (char === "P") !== name.startsWith("^");
    const test = unicodeClass(name.replace("^", ""));
    if (test === undefined) throw fail("invalid character class range", `\\${char}{${name}}`);
    return isNegated ? (point) => !test(point) : test;
  }

  private escapedChar(char: string): string {
    const simple: Record<string, string> = {
      a: "\x07",
      f: "\f",
      n: "\n",
      r: "\r",
      t: "\t",
      v: "\v",
    };
    if (simple[char] !== undefined) return simple[char];
    if (char === "x") {
      const rest = this.chars.slice(this.at, this.at + 12).join("");
      const found = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))/.exec(rest);
      const point = parseInt(found?.[1] ?? found?.[2] ?? "", 16);
      if (found === null || !(point <= 0x10ffff)) throw fail("invalid escape sequence", "\\x");
      this.at += found[0].length;
      return String.fromCodePoint(point);
    }
    if (char === "0") {
      const digits = /^[0-7]{0,2}/.exec(this.chars.slice(this.at, this.at + 2).join(""))?.[0] ?? "";
      this.at += digits.length;
      return String.fromCodePoint(parseInt(`0${digits}`, 8));
    }
    if (/[A-Za-z0-9]/.test(char)) throw fail("invalid escape sequence", `\\${char}`);
    return char;
  }

  private group(): Regex {
    const before = { ...this.flags };
    const named = /^\?P?<([A-Za-z0-9_]+)>/.exec(this.chars.slice(this.at, this.at + 100).join(""));
    let index: number | undefined;
    if (named !== null) {
      const [text, name = ""] = named;
      if (this.groups.includes(name)) throw fail("duplicate capture group name", name);
      this.at += [...text].length;
      index = this.groups.push(name);
    } else if (this.take("?")) {
      if (this.readFlags() === ")") return { kind: "empty" };
    } else index = this.groups.push("");
    const body = this.choice();
    if (!this.take(")")) throw fail("missing closing )", this.pattern);
    this.flags = before;
    return index === undefined ? { kind: "sequence", parts: [body] } : {
      kind: "group",
      index,
      body,
    };
  }

  /** Flags hold to the end of their group: of the one they open, or of the one they stand in. */
  private readFlags(): ")" | ":" {
    const flags = { ...this.flags };
    let isOn = true;
    for (;;) {
      const char = this.next("missing argument to group flags");
      if (char === ":" || char === ")") {
        this.flags = flags;
        return char;
      }
      if (char === "-") isOn = false;
      else if (char === "i") flags.isInsensitive = isOn;
      else if (char === "m") flags.isMultiline = isOn;
      else if (char === "s") flags.isDotAll = isOn;
      else if (char === "U") flags.isUngreedy = isOn;
      else throw fail("invalid or unsupported Perl syntax", `(?${char}`);
    }
  }

  private bracket(): CharTest {
    const isNegated = this.take("^");
    const tests: CharTest[] = [];
    for (let isFirst = true; isFirst || !this.isNext("]"); isFirst = false) {
      const rest = this.chars.slice(this.at, this.at + 14).join("");
      const posix = /^\[:(\^?)([a-z]+):\]/.exec(rest);
      if (posix !== null) {
        const test = classByName(posix[2] ?? "");
        if (test === undefined) throw fail("invalid character class range", posix[0]);
        this.at += posix[0].length;
        tests.push(posix[1] ? (point) => !test(point) : test);
        continue;
      }
      const low = this.member();
      if (typeof low === "function") tests.push(low);
      else tests.push(this.span(low));
    }
    this.at++;
    const isMember = (point: number) => tests.some((test) => test(point));
    return isNegated ? (point) => !isMember(point) : isMember;
  }

  private span(low: number): CharTest {
    let high = low;
    if (this.isNext("-") && this.chars[this.at + 1] !== "]" && this.at + 1 < this.chars.length) {
      this.at++;
      const end = this.member();
      if (typeof end === "function" || end < low) {
        throw fail("invalid character class range", this.pattern);
      }
      high = end;
    }
    return (point) => point >= low && point <= high;
  }

  private member(): number | CharTest {
    const char = this.next("missing closing ]");
    if (char !== "\\") return char.codePointAt(0) ?? 0;
    const escaped = this.next("missing closing ]");
    return this.namedClass(escaped) ?? this.escapedChar(escaped).codePointAt(0) ?? 0;
  }

  private literal(char: string): Regex {
    const wanted = char.codePointAt(0) ?? 0;
    return { kind: "char", test: this.fold((point) => point === wanted) };
  }

  private fold(test: CharTest): CharTest {
    if (!this.flags.isInsensitive) return test;
    return (point) => {
      if (test(point)) return true;
      const char = String.fromCodePoint(point);
      return [char.toLowerCase(), char.toUpperCase()].some((other) =>
        [...other].length === 1 && test(other.codePointAt(0) ?? -1)
      );
    };
  }

  private next(problem = "unexpected end"): string {
    const char = this.chars[this.at++];
    if (char === undefined) throw fail(problem, this.pattern);
    return char;
  }

  private isNext(char: string): boolean {
    return this.chars[this.at] === char;
  }

  private take(char: string): boolean {
    if (!this.isNext(char)) return false;
    this.at++;
    return true;
  }

  private takeText(text: string): boolean {
    if (this.chars.slice(this.at, this.at + text.length).join("") !== text) return false;
    this.at += text.length;
    return true;
  }
}

function isFlagsOnly(regex: Regex): boolean {
  return regex.kind === "empty";
}

function fail(problem: string, part: string): Error {
  return new Error(`error parsing regexp: ${problem}: \`${part}\``);
}
