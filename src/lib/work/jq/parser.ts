/** Parses a jq program. */

import type { Definition, Node, Pattern } from "./ast.ts";
import { Cursor } from "./cursor.ts";
import { tokenize } from "./lexer.ts";
import { JqError } from "./values.ts";

const DEPTH_MAX = 200;
const COMPARISONS = ["==", "!=", "<", "<=", ">", ">="];
const ASSIGNMENTS = ["=", "|=", "+=", "-=", "*=", "/=", "%=", "//="];
const CONSTANTS: Record<string, unknown> = { null: null, true: true, false: false };
const IDENTITY: Node = { kind: "identity" };

/** Parses a filter. Throws a `JqError`. */
export function parseJq(source: string): Node {
  const parser = new Parser(tokenize(source));
  const node = parser.pipe();
  parser.finish();
  return node;
}

/** Parses definitions without a filter after them. */
export function parseDefinitions(source: string): Definition[] {
  const parser = new Parser(tokenize(source));
  const definitions: Definition[] = [];
  while (!parser.isAtEnd()) definitions.push(parser.definition());
  return definitions;
}

class Parser extends Cursor {
  private depth = 0;

  pipe(): Node {
    if (++this.depth > DEPTH_MAX) throw new JqError("the program nests too deeply");
    const node = this.pipeInside();
    this.depth--;
    return node;
  }

  definition(): Definition {
    this.expectWord("def");
    const name = this.word();
    const params: string[] = [];
    if (this.take("(")) {
      do params.push(this.token.kind === "variable" ? this.variable() : this.word()); while (
        this.take(";")
      );
      this.expect(")");
    }
    this.expect(":");
    const body = this.pipe();
    this.expect(";");
    return { name, params, body };
  }

  private pipeInside(): Node {
    if (this.isWord("def")) {
      const definition = this.definition();
      return { kind: "define", definition, body: this.pipe() };
    }
    if (this.takeWord("label")) {
      const name = this.variable();
      this.expect("|");
      return { kind: "label", name, body: this.pipe() };
    }
    const left = this.comma();
    return this.take("|") ? { kind: "pipe", left, right: this.pipe() } : left;
  }

  private comma(): Node {
    let left = this.assignment();
    while (this.take(",")) left = { kind: "comma", left, right: this.assignment() };
    return left;
  }

  private assignment(): Node {
    const left = this.alternative();
    const operator = this.takeOf(ASSIGNMENTS);
    if (operator === undefined) return left;
    return { kind: "assign", operator, left, right: this.alternative() };
  }

  private alternative(): Node {
    const left = this.or();
    return this.take("//") ? { kind: "alternative", left, right: this.alternative() } : left;
  }

  private or(): Node {
    let left = this.and();
    while (this.takeWord("or")) left = { kind: "or", left, right: this.and() };
    return left;
  }

  private and(): Node {
    let left = this.comparison();
    while (this.takeWord("and")) left = { kind: "and", left, right: this.comparison() };
    return left;
  }

  private comparison(): Node {
    const left = this.sum();
    const operator = this.takeOf(COMPARISONS);
    return operator === undefined ? left : { kind: "binary", operator, left, right: this.sum() };
  }

  private sum(): Node {
    let left = this.product();
    for (;;) {
      const operator = this.takeOf(["+", "-"]);
      if (operator === undefined) return left;
      left = { kind: "binary", operator, left, right: this.product() };
    }
  }

  private product(): Node {
    let left = this.unary();
    for (;;) {
      const operator = this.takeOf(["*", "/", "%"]);
      if (operator === undefined) return left;
      left = { kind: "binary", operator, left, right: this.unary() };
    }
  }

  private unary(): Node {
    if (this.take("-")) return { kind: "negate", operand: this.unary() };
    if (this.isWord("reduce") || this.isWord("foreach")) return this.fold();
    if (this.isWord("def")) return this.pipe();
    const node = this.takeWord("try") ? this.attempt() : this.postfix();
    if (!this.takeWord("as")) return node;
    const patterns = [this.pattern()];
    while (this.take("?//")) patterns.push(this.pattern());
    this.expect("|");
    // Everything to the right belongs to it, commas too.
    return { kind: "bind", source: node, patterns, body: this.pipe() };
  }

  private attempt(): Node {
    const body = this.postfix();
    return this.takeWord("catch") ? { kind: "try", body, rescue: this.postfix() } : {
      kind: "try",
      body,
    };
  }

  private fold(): Node {
    const isReduce = this.takeWord("reduce");
    if (!isReduce) this.expectWord("foreach");
    const source = this.postfix();
    this.expectWord("as");
    const pattern = this.pattern();
    this.expect("(");
    const start = this.pipe();
    this.expect(";");
    const update = this.pipe();
    const extract = !isReduce && this.take(";") ? this.pipe() : undefined;
    this.expect(")");
    const common = { source, pattern, start, update };
    if (isReduce) return this.suffixes({ kind: "reduce", ...common });
    return this.suffixes({ kind: "foreach", ...common, ...(extract ? { extract } : {}) });
  }

  private postfix(): Node {
    return this.suffixes(this.term());
  }

  private suffixes(start: Node): Node {
    let node = start;
    for (;;) {
      const { token } = this;
      if (token.kind === "field") {
        this.at++;
        node = { kind: "index", target: node, index: literal(token.text.slice(1)) };
      } else if (this.take("?")) node = { kind: "try", body: node };
      else if (this.take("[")) node = this.bracket(node);
      else if (this.is(".") && this.nextIs("[")) {
        this.at += 2;
        node = this.bracket(node);
      } else if (this.is(".") && this.tokens[this.at + 1]?.kind === "string") {
        this.at++;
        node = { kind: "index", target: node, index: this.text("text") };
      } else return node;
    }
  }

  private bracket(target: Node): Node {
    if (this.take("]")) return { kind: "iterate", target };
    if (this.take(":")) {
      const until = this.pipe();
      this.expect("]");
      return { kind: "slice", target, until };
    }
    const index = this.pipe();
    if (this.take(":")) {
      const until = this.is("]") ? {} : { until: this.pipe() };
      this.expect("]");
      return { kind: "slice", target, from: index, ...until };
    }
    this.expect("]");
    return { kind: "index", target, index };
  }

  private term(): Node {
    const { token } = this;
    this.at++;
    switch (token.kind) {
      case "number":
        return literal(token.value);
      case "string":
        this.at--;
        return this.text("text");
      case "format":
        return this.token.kind === "string" ? this.text(token.text.slice(1)) : {
          kind: "format",
          format: token.text.slice(1),
        };
      case "field":
        return { kind: "index", target: IDENTITY, index: literal(token.text.slice(1)) };
      case "variable":
        return { kind: "variable", name: token.text };
      case "word":
        this.at--;
        return this.wordTerm(token.text);
      case "sign":
        return this.signTerm(token.text);
      case "end":
        throw new JqError("unexpected end of the program");
    }
  }

  private wordTerm(text: string): Node {
    if (text === "if") return this.condition();
    if (text === "try") {
      this.at++;
      return this.attempt();
    }
    if (text === "reduce" || text === "foreach") return this.fold();
    if (text === "break") {
      this.at++;
      return { kind: "break", name: this.variable() };
    }
    const name = this.word();
    if (Object.hasOwn(CONSTANTS, name)) return literal(CONSTANTS[name]);
    const args: Node[] = [];
    if (this.take("(")) {
      do args.push(this.pipe()); while (this.take(";"));
      this.expect(")");
    }
    return { kind: "call", name, args };
  }

  private signTerm(text: string): Node {
    switch (text) {
      case "..":
        return { kind: "call", name: "recurse", args: [] };
      case ".":
        if (this.token.kind === "string") {
          return { kind: "index", target: IDENTITY, index: this.text("text") };
        }
        return this.take("[") ? this.bracket(IDENTITY) : IDENTITY;
      case "(": {
        const node = this.pipe();
        this.expect(")");
        return node;
      }
      case "[": {
        if (this.take("]")) return { kind: "list" };
        const body = this.pipe();
        this.expect("]");
        return { kind: "list", body };
      }
      case "{":
        return this.object();
      default:
        this.at--;
        throw this.unexpected();
    }
  }

  private condition(): Node {
    // `if` or `elif`.
    this.at++;
    const test = this.pipe();
    this.expectWord("then");
    const yes = this.pipe();
    if (this.isWord("elif")) return { kind: "if", test, yes, no: this.condition() };
    const no = this.takeWord("else") ? this.pipe() : IDENTITY;
    this.expectWord("end");
    return { kind: "if", test, yes, no };
  }

  private object(): Node {
    const members: { key: Node; value: Node }[] = [];
    while (!this.take("}")) {
      members.push(this.member());
      if (!this.take(",") && !this.is("}")) throw this.unexpected();
    }
    return { kind: "object", members };
  }

  private member(): { key: Node; value: Node } {
    const { token } = this;
    let key: Node;
    let otherwise: Node | undefined;
    if (token.kind === "variable") {
      this.at++;
      key = literal(token.text.slice(1));
      otherwise = { kind: "variable", name: token.text };
    } else if (this.take("(")) {
      key = this.pipe();
      this.expect(")");
    } else {
      key = token.kind === "word" ? literal(this.anyWord()) : this.term();
      otherwise = { kind: "index", target: IDENTITY, index: key };
    }
    if (!this.take(":")) {
      if (otherwise === undefined) throw this.unexpected();
      return { key, value: otherwise };
    }
    let value = this.memberValue();
    while (this.take("|")) value = { kind: "pipe", left: value, right: this.memberValue() };
    return { key, value };
  }

  /** No comma: that begins the next member. */
  private memberValue(): Node {
    return this.alternative();
  }

  private pattern(): Pattern {
    if (this.token.kind === "variable") return { kind: "name", name: this.variable() };
    if (this.take("[")) {
      const items: Pattern[] = [];
      do items.push(this.pattern()); while (this.take(","));
      this.expect("]");
      return { kind: "list", items };
    }
    this.expect("{");
    const members: { key: Node; name?: string; value?: Pattern }[] = [];
    do members.push(this.patternMember()); while (this.take(","));
    this.expect("}");
    return { kind: "object", members };
  }

  private patternMember(): { key: Node; name?: string; value?: Pattern } {
    const { token } = this;
    if (token.kind === "variable") {
      const name = this.variable();
      const value = this.take(":") ? { value: this.pattern() } : {};
      return { key: literal(name.slice(1)), name, ...value };
    }
    let key: Node;
    if (this.take("(")) {
      key = this.pipe();
      this.expect(")");
    } else key = token.kind === "word" ? literal(this.anyWord()) : this.term();
    this.expect(":");
    return { key, value: this.pattern() };
  }

  private text(format: string): Node {
    const { token } = this;
    if (token.kind !== "string") throw this.unexpected();
    this.at++;
    const parts = token.parts.map((part) => {
      if (typeof part === "string") return part;
      const inner = new Parser(part);
      const node = inner.pipe();
      inner.finish();
      return node;
    });
    const isPlain = format === "text" && parts.every((part) => typeof part === "string");
    if (isPlain) return literal(parts.join(""));
    return { kind: "text", parts, format };
  }
}

function literal(value: unknown): Node {
  return { kind: "literal", value };
}
