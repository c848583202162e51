/** The tree of an expression. */

import type { Value } from "./values.ts";

/** A node; `at` is where errors about it point to. `call` is a function or operator, `target` makes it a method. */
export type Node =
  | { kind: "constant"; value: Value }
  | { kind: "ident"; name: string; at: number }
  | { kind: "select"; operand: Node; field: string; isOptional: boolean }
  | { kind: "index"; operand: Node; index: Node; isOptional: boolean }
  | { kind: "has"; operand: Node; field: string }
  | { kind: "call"; name: string; target?: Node; args: Node[]; at: number }
  | { kind: "and" | "or"; left: Node; right: Node }
  | { kind: "conditional"; test: Node; yes: Node; no: Node }
  | { kind: "list"; items: { value: Node; isOptional: boolean }[] }
  | { kind: "map"; entries: { key: Node; value: Node; isOptional: boolean }[] }
  | { kind: "message"; name: string; fields: { key: string; value: Node }[] }
  | { kind: "loop"; macro: LoopMacro; range: Node; variable: string; steps: Node[] }
  | {
    kind: "optional";
    macro: "optMap" | "optFlatMap";
    operand: Node;
    variable: string;
    body: Node;
  };

/** A macro that visits the elements of a list or the keys of a map. */
export type LoopMacro = "all" | "exists" | "existsOne" | "filter" | "map";
