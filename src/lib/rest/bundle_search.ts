/**
 * The searches for bundles that the Go source client makes (wire.md §7.5), as a filter and never as SQL.
 *
 * Terms joined by "and": a column that has a value or one of several, a label that has or has not, and alternatives of
 * one column in parentheses.
 */

import { MaestroError } from "../errors.ts";
import { type JsonObject, parseJsonObject } from "../json.ts";
import { BAD_REQUEST } from "./errors.ts";

/** Which bundles are asked for. A column that is undefined may have any value. */
export interface BundleFilter {
  id?: string[];
  name?: string[];
  source?: string[];
  consumer_name?: string[];
  /** Labels that a bundle has, with these values. */
  labels: JsonObject;
  labelTerms: LabelTerm[];
}

/** A label that a bundle has, with one of these values or with none of them. */
export interface LabelTerm {
  key: string;
  is_in: boolean;
  values: string[];
}

type Column = "id" | "name" | "source" | "consumer_name";

const COLUMNS: readonly string[] = ["id", "name", "source", "consumer_name"];
const TERMS_MAX = 100;
const LENGTH_MAX = 20_000;
/** Strings in single quotes, a quote in them doubled or behind a backslash; names; operators. */
const TOKEN =
  /\s*(?:'((?:[^'\\]|''|\\.)*)'|([A-Za-z_][A-Za-z0-9_.]*)|(->>|->|@>|<>|!=|=|\(|\)|,))/y;

interface Token {
  kind: "string" | "word" | "operator" | "end";
  text: string;
}

type Values = string[] | null;
type SqlFilter = [
  ids: Values,
  names: Values,
  sources: Values,
  consumerNames: Values,
  labels: string,
  labelTerms: string,
];

/** The filter as the queries of bundles take it. */
export function asSqlFilter({ labels, labelTerms, ...columns }: BundleFilter): SqlFilter {
  return [
    columns.id ?? null,
    columns.name ?? null,
    columns.source ?? null,
    columns.consumer_name ?? null,
    JSON.stringify(labels),
    JSON.stringify(labelTerms),
  ];
}

/** Reads a search; an empty one lets every bundle pass. Throws `invalid_argument` on any other form. */
export function parseBundleSearch(search: string): BundleFilter {
  const filter: BundleFilter = { labels: {}, labelTerms: [] };
  if (search.trim() === "") return filter;
  if (search.length > LENGTH_MAX) {
    throw refused(search, `it has more than ${LENGTH_MAX} characters`);
  }
  const tokens = createTokens(search);
  for (let terms = 1;; terms++) {
    if (terms > TERMS_MAX) throw refused(search, `it has more than ${TERMS_MAX} terms`);
    readTerm(tokens, filter);
    if (tokens.peek().kind === "end") return filter;
    tokens.expectWord("and");
  }
}

function readTerm(tokens: Tokens, filter: BundleFilter): void {
  if (tokens.peek().text === "payload") return readLabel(tokens, filter);
  const isGroup = tokens.skip("(");
  const { column, values } = readColumn(tokens);
  while (isGroup && !tokens.skip(")")) {
    tokens.expectWord("or");
    const other = readColumn(tokens);
    if (other.column !== column) throw tokens.unexpected(other.column);
    values.push(...other.values);
  }
  // Each term narrows what the others let pass.
  const before = filter[column];
  filter[column] = before === undefined ? values : before.filter((one) => values.includes(one));
}

function readColumn(tokens: Tokens): { column: Column; values: string[] } {
  const { kind, text } = tokens.next();
  const name = text.replace(/^resources\./, "");
  if (kind !== "word" || !COLUMNS.includes(name)) throw tokens.unexpected(text);
  if (tokens.skip("=")) return { column: name as Column, values: [tokens.value()] };
  tokens.expectWord("in");
  return { column: name as Column, values: tokens.list() };
}

/** `payload->'metadata'->'labels'` and what is asked of it. */
function readLabel(tokens: Tokens, filter: BundleFilter): void {
  tokens.next();
  for (const key of ["metadata", "labels"]) {
    tokens.expect("->");
    if (tokens.value() !== key) throw tokens.unexpected(key);
  }
  if (tokens.skip("@>")) {
    Object.assign(filter.labels, parseJsonObject(tokens.value(), "the labels of the search"));
    return;
  }
  tokens.expect("->>");
  const key = tokens.value();
  if (tokens.skip("=")) filter.labelTerms.push({ key, is_in: true, values: [tokens.value()] });
  else if (tokens.skip("<>") || tokens.skip("!=")) {
    // Clients ask for "has the label" by `<>null`, a text like any other (captured behaviour of the Go server).
    filter.labelTerms.push({ key, is_in: false, values: [tokens.value()] });
  } else {
    const isIn = !tokens.skip("not");
    tokens.expectWord("in");
    filter.labelTerms.push({ key, is_in: isIn, values: tokens.list() });
  }
}

type Tokens = ReturnType<typeof createTokens>;

function createTokens(search: string) {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  while (search.slice(pattern.lastIndex).trim() !== "") {
    const at = pattern.lastIndex;
    const found = pattern.exec(search);
    if (found === null) {
      throw refused(search, `it cannot be read from "${search.slice(at, at + 20)}" on`);
    }
    const [, quoted, word, operator] = found;
    if (quoted !== undefined) {
      tokens.push({
        kind: "string",
        text: quoted.replaceAll(/''|\\(.)/g, (_, escaped) => escaped ?? "'"),
      });
    } else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else tokens.push({ kind: "operator", text: operator ?? "" });
  }
  let at = 0;
  const end: Token = { kind: "end", text: "the end" };
  const unexpected = (text: string) =>
    refused(search, `"${text.slice(0, 50)}" is not expected there`);
  const stream = {
    unexpected,
    peek: () => tokens[at] ?? end,
    next: () => tokens[at++] ?? end,
    /** Passes over a word or an operator, if it is the next. */
    skip(text: string): boolean {
      const { kind, text: found } = stream.peek();
      const isIt = kind !== "string" && found.toLowerCase() === text;
      if (isIt) at++;
      return isIt;
    },
    expect(text: string): void {
      if (!stream.skip(text)) throw unexpected(stream.peek().text);
    },
    expectWord: (text: string) => stream.expect(text),
    value(): string {
      const { kind, text } = stream.next();
      if (kind === "string" || kind === "word") return text;
      throw unexpected(text);
    },
    list(): string[] {
      stream.expect("(");
      const values = [stream.value()];
      while (stream.skip(",")) values.push(stream.value());
      stream.expect(")");
      return values;
    },
  };
  return stream;
}

function refused(search: string, state: string): MaestroError {
  return new MaestroError(
    "invalid_argument",
    `Failed to parse search query: ${search.slice(0, 200)}: ${state}`,
    { peerNumber: BAD_REQUEST },
  );
}
