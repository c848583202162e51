/** Parses an expression into its tree; macros become nodes of their own. */

import type { Node } from "./ast.ts";
import { errorAt, syntaxError, type Token, tokenize } from "./lexer.ts";
import { expandMacro } from "./macros.ts";
import { CelError } from "./values.ts";

/** As cel-go limits it. */
const DEPTH_MAX = 250;
/** Links of one chain, such as `a + b + c`, which make a tree as deep as they are many. */
const CHAIN_MAX = 1_000;

const RESERVED = new Set(
  ("as break const continue else for function if import let loop package namespace return var void while")
    .split(" "),
);
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">=", "in"]);

/** Parses an expression. Throws a `CelError` that says where and why it is none. */
export function parseExpression(source: string): Node {
  return new Parser(source, tokenize(source)).parse();
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly source: string, private readonly tokens: Token[]) {}

  parse(): Node {
    const node = this.expression();
    if (this.token.kind !== "end") throw this.unexpected();
    return node;
  }

  private get token(): Token {
    return this.tokens[this.at] as Token;
  }

  private expression(): Node {
    if (++this.depth > DEPTH_MAX) {
      throw new CelError(`expression recursion limit exceeded: ${DEPTH_MAX}`);
    }
    const test = this.or();
    if (!this.take("?")) {
      this.depth--;
      return test;
    }
    const yes = this.or();
    this.expect(":");
    const no = this.expression();
    this.depth--;
    return { kind: "conditional", test, yes, no };
  }

  private or(): Node {
    let left = this.and();
    for (let links = 0; this.take("||"); links++) {
      left = { kind: "or", left: bounded(left, links), right: this.and() };
    }
    return left;
  }

  private and(): Node {
    let left = this.comparison();
    for (let links = 0; this.take("&&"); links++) {
      left = { kind: "and", left: bounded(left, links), right: this.comparison() };
    }
    return left;
  }

  private comparison(): Node {
    let left = this.sum();
    for (let links = 0;; links++) {
      const { token } = this;
      const text = token.kind === "sign" || token.kind === "ident" ? token.text : "";
      if (!COMPARISONS.has(text) || (token.kind === "ident" && token.isQuoted)) return left;
      this.at++;
      left = { kind: "call", name: text, at: token.at, args: [bounded(left, links), this.sum()] };
    }
  }

  private sum(): Node {
    let left = this.product();
    for (let links = 0;; links++) {
      const { at } = this.token;
      const name = this.takeOf("+", "-");
      if (name === undefined) return left;
      left = { kind: "call", name, at, args: [bounded(left, links), this.product()] };
    }
  }

  private product(): Node {
    let left = this.unary();
    for (let links = 0;; links++) {
      const { at } = this.token;
      const name = this.takeOf("*", "/", "%");
      if (name === undefined) return left;
      left = { kind: "call", name, at, args: [bounded(left, links), this.unary()] };
    }
  }

  private unary(): Node {
    const { at } = this.token;
    const name = this.takeOf("!", "-");
    if (name === undefined) return this.member(this.primary());
    const { token } = this;
    const isNumber = token.kind === "literal" &&
      (typeof token.value === "bigint" || typeof token.value === "number");
    if (name === "-" && isNumber) {
      this.at++;
      return this.member({ kind: "constant", value: -(token.value as bigint) });
    }
    if (++this.depth > DEPTH_MAX) {
      throw new CelError(`expression recursion limit exceeded: ${DEPTH_MAX}`);
    }
    const args = [this.unary()];
    const node: Node = { kind: "call", name: name === "-" ? "-_" : "!_", at, args };
    this.depth--;
    return node;
  }

  private member(start: Node): Node {
    let node = start;
    for (let links = 0;; links++) {
      const sign = this.takeOf(".", ".?", "[", "[?");
      if (sign === undefined) return node;
      bounded(node, links);
      if (sign === "[" || sign === "[?") {
        const index = this.expression();
        this.expect("]");
        node = { kind: "index", operand: node, index, isOptional: sign === "[?" };
        continue;
      }
      const field = this.identifier({ isSelector: true });
      const { at } = this.token;
      if (sign === "." && this.take("(")) node = this.call(field, at, this.list(")"), node);
      else node = { kind: "select", operand: node, field, isOptional: sign === ".?" };
    }
  }

  private primary(): Node {
    const { token } = this;
    if (token.kind === "literal") {
      this.at++;
      if (token.value === 2n ** 63n) throw new CelError("invalid int literal");
      return { kind: "constant", value: token.value };
    }
    if (this.take("(")) {
      const node = this.expression();
      this.expect(")");
      return node;
    }
    const bracket = this.takeOf("[", "[?");
    if (bracket !== undefined) return this.listLiteral(bracket === "[?");
    if (this.take("{")) return this.mapLiteral();
    const isRooted = this.take(".");
    const name = this.identifier({ isSelector: false });
    if (!isRooted) {
      if (name === "true" || name === "false") return { kind: "constant", value: name === "true" };
      if (name === "null") return { kind: "constant", value: null };
    }
    const { at } = this.token;
    if (this.take("(")) return this.call(name, at, this.list(")"));
    return this.messageLiteral(name) ?? { kind: "ident", name, at: token.at };
  }

  /** `google.protobuf.Int64Value{value: 1}`: a name with dots and a brace. */
  private messageLiteral(first: string): Node | undefined {
    let ahead = this.at;
    let name = first;
    const isSign = (text: string) => {
      const token = this.tokens[ahead];
      return token?.kind === "sign" && token.text === text;
    };
    while (isSign(".")) {
      const token = this.tokens[ahead + 1];
      if (token?.kind !== "ident") return undefined;
      name += `.${token.text}`;
      ahead += 2;
    }
    if (!isSign("{")) return undefined;
    this.at = ahead + 1;
    const fields: { key: string; value: Node }[] = [];
    while (!this.take("}")) {
      const key = this.identifier({ isSelector: true });
      this.expect(":");
      fields.push({ key, value: this.expression() });
      if (!this.take(",") && !this.isNext("}")) throw this.unexpected();
    }
    return { kind: "message", name, fields };
  }

  private listLiteral(isFirstOptional: boolean): Node {
    const items: { value: Node; isOptional: boolean }[] = [];
    while (!this.take("]")) {
      const isOptional = (isFirstOptional && items.length === 0) || this.take("?");
      items.push({ value: this.expression(), isOptional });
      if (!this.take(",") && !this.isNext("]")) throw this.unexpected();
    }
    return { kind: "list", items };
  }

  private mapLiteral(): Node {
    const entries: { key: Node; value: Node; isOptional: boolean }[] = [];
    while (!this.take("}")) {
      const isOptional = this.take("?");
      const key = this.expression();
      this.expect(":");
      entries.push({ key, value: this.expression(), isOptional });
      if (!this.take(",") && !this.isNext("}")) throw this.unexpected();
    }
    return { kind: "map", entries };
  }

  private list(end: string): Node[] {
    const nodes: Node[] = [];
    while (!this.take(end)) {
      nodes.push(this.expression());
      if (!this.take(",") && !this.isNext(end)) throw this.unexpected();
    }
    return nodes;
  }

  private call(name: string, at: number, args: Node[], target?: Node): Node {
    const expanded = expandMacro(name, target, args);
    if (expanded !== undefined) return expanded;
    return { kind: "call", name, at, args, ...(target === undefined ? {} : { target }) };
  }

  private identifier({ isSelector }: { isSelector: boolean }): string {
    const { token } = this;
    if (token.kind !== "ident") throw this.unexpected();
    if (token.isQuoted && !isSelector) throw this.unexpected();
    if (!isSelector && (RESERVED.has(token.text) || token.text === "in")) {
      throw errorAt(this.source, token.at, `reserved identifier: ${token.text}`);
    }
    this.at++;
    return token.text;
  }

  private isNext(text: string): boolean {
    const { token } = this;
    return token.kind === "sign" && token.text === text;
  }

  private take(text: string): boolean {
    if (!this.isNext(text)) return false;
    this.at++;
    return true;
  }

  private takeOf(...texts: string[]): string | undefined {
    return texts.find((text) => this.take(text));
  }

  private expect(text: string): void {
    if (!this.take(text)) throw this.unexpected();
  }

  private unexpected(): CelError {
    const { token } = this;
    const text = token.kind === "literal" ? "literal" : token.text;
    return syntaxError(this.source, token.at, `mismatched input '${text}'`);
  }
}

/** The node so far, unless its chain is too long. */
function bounded(node: Node, links: number): Node {
  if (links <= CHAIN_MAX) return node;
  throw new CelError(`expression recursion limit exceeded: ${CHAIN_MAX}`);
}
