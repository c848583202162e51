/** Pieces of a statement: text that is written in this folder, and values that travel beside it. */

import type { Parameter } from "./types.ts";

/** A piece. Only `sql` makes one, so no text from elsewhere becomes part of a statement. */
export interface Fragment {
  readonly strings: readonly string[];
  readonly parts: readonly (Fragment | Parameter)[];
}

const made = new WeakSet<object>();

/** Text between pieces, and values that become parameters. */
export function sql(
  strings: TemplateStringsArray,
  ...parts: (Fragment | Parameter)[]
): Fragment {
  const fragment = { strings, parts };
  made.add(fragment);
  return fragment;
}

/** Pieces with the same text between them. */
export function joined(fragments: readonly Fragment[], between: Fragment): Fragment {
  const [first, ...others] = fragments;
  if (first === undefined) return sql``;
  return others.reduce((all, one) => sql`${all}${between}${one}`, first);
}

/** The text of a statement, and its parameters. */
export function render(fragment: Fragment): { text: string; parameters: Parameter[] } {
  const parameters: Parameter[] = [];
  const pieces: string[] = [];
  const write = ({ strings, parts }: Fragment) => {
    strings.forEach((string, index) => {
      pieces.push(string);
      if (index === parts.length) return;
      const part = parts[index] ?? null;
      if (isFragment(part)) write(part);
      else pieces.push(`$${parameters.push(part)}`);
    });
  };
  write(fragment);
  return { text: pieces.join(""), parameters };
}

function isFragment(part: Fragment | Parameter): part is Fragment {
  return typeof part === "object" && part !== null && made.has(part);
}
