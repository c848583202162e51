/** What names mean in a jq program. */

import type { Definition, Node } from "./ast.ts";
import { JqError } from "./values.ts";

/** What names mean at some point of a program. */
export interface Names {
  find(name: string): Meaning | undefined;
}

/** What one name means. */
export type Meaning =
  | { kind: "value"; value: unknown }
  | { kind: "filter"; body: Node; names: Names }
  | { kind: "function"; definition: Definition; names: Names };

/** Names with one more meaning. */
export function withMeaning(outer: Names, known: string, meaning: Meaning): Names {
  return { find: (name) => name === known ? meaning : outer.find(name) };
}

/** Names with one more variable. */
export function withValue(outer: Names, name: string, value: unknown): Names {
  return withMeaning(outer, name, { kind: "value", value });
}

/** Names with one more function, which may call itself. */
export function withDefinition(outer: Names, definition: Definition): Names {
  const known = `${definition.name}/${definition.params.length}`;
  return {
    find: (name) =>
      name === known ? { kind: "function", definition, names: outer } : outer.find(name),
  };
}

/** The value of a variable. */
export function valueOf(names: Names, name: string): unknown {
  const found = names.find(name);
  if (found?.kind !== "value") throw new JqError(`variable not defined: ${name}`);
  return found.value;
}
