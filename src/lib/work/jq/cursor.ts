/** Walks over the tokens of a jq program. */

import type { Token } from "./lexer.ts";
import { JqError } from "./values.ts";

const KEYWORDS = new Set(
  "def if then elif else end as reduce foreach try catch label import include and or __loc__".split(
    " ",
  ),
);

/** Where a parser is in its program. */
export class Cursor {
  protected at = 0;

  constructor(protected readonly tokens: readonly Token[]) {}

  /** Refuses what is left over. */
  finish(): void {
    if (!this.isAtEnd()) throw this.unexpected();
  }

  isAtEnd(): boolean {
    return this.token.kind === "end";
  }

  protected get token(): Token {
    return this.tokens[this.at] as Token;
  }

  protected is(text: string): boolean {
    return this.token.kind === "sign" && this.token.text === text;
  }

  protected nextIs(text: string): boolean {
    const token = this.tokens[this.at + 1];
    return token?.kind === "sign" && token.text === text;
  }

  protected take(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }

  protected takeOf(texts: readonly string[]): string | undefined {
    return texts.find((text) => this.take(text));
  }

  protected expect(text: string): void {
    if (!this.take(text)) throw this.unexpected();
  }

  protected isWord(text: string): boolean {
    return this.token.kind === "word" && this.token.text === text;
  }

  protected takeWord(text: string): boolean {
    if (!this.isWord(text)) return false;
    this.at++;
    return true;
  }

  protected expectWord(text: string): void {
    if (!this.takeWord(text)) throw this.unexpected();
  }

  protected word(): string {
    const { token } = this;
    if (token.kind !== "word" || KEYWORDS.has(token.text)) throw this.unexpected();
    this.at++;
    return token.text;
  }

  protected anyWord(): string {
    const { token } = this;
    this.at++;
    return token.kind === "word" ? token.text : "";
  }

  protected variable(): string {
    const { token } = this;
    if (token.kind !== "variable") throw this.unexpected();
    this.at++;
    return token.text;
  }

  protected unexpected(): JqError {
    const { token } = this;
    const text = token.kind === "number" ? String(token.value) : token.text;
    return new JqError(
      token.kind === "end" ? "unexpected end of the program" : `unexpected token "${text}"`,
    );
  }
}
