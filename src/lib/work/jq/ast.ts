/** The tree of a jq program. */

/** A pattern that takes values apart: `$name`, `[$a, $b]`, `{a: $b}`. */
export type Pattern =
  | { kind: "name"; name: string }
  | { kind: "list"; items: Pattern[] }
  | { kind: "object"; members: { key: Node; name?: string; value?: Pattern }[] };

/** A function that a program defines. */
export interface Definition {
  name: string;
  /** Those that begin with `$` are values, the others filters. */
  params: string[];
  body: Node;
}

/** A filter. */
export type Node =
  | { kind: "identity" }
  | { kind: "literal"; value: unknown }
  | { kind: "text"; parts: (string | Node)[]; format: string }
  | { kind: "format"; format: string }
  | { kind: "variable"; name: string }
  | { kind: "index"; target: Node; index: Node }
  | { kind: "slice"; target: Node; from?: Node; until?: Node }
  | { kind: "iterate"; target: Node }
  | { kind: "pipe"; left: Node; right: Node }
  | { kind: "comma"; left: Node; right: Node }
  | { kind: "negate"; operand: Node }
  | { kind: "binary"; operator: string; left: Node; right: Node }
  | { kind: "and" | "or"; left: Node; right: Node }
  | { kind: "alternative"; left: Node; right: Node }
  | { kind: "assign"; operator: string; left: Node; right: Node }
  | { kind: "if"; test: Node; yes: Node; no: Node }
  | { kind: "try"; body: Node; rescue?: Node }
  | { kind: "reduce"; source: Node; pattern: Pattern; start: Node; update: Node }
  | {
    kind: "foreach";
    source: Node;
    pattern: Pattern;
    start: Node;
    update: Node;
    extract?: Node;
  }
  | { kind: "bind"; source: Node; patterns: Pattern[]; body: Node }
  | { kind: "label"; name: string; body: Node }
  | { kind: "break"; name: string }
  | { kind: "define"; definition: Definition; body: Node }
  | { kind: "call"; name: string; args: Node[] }
  | { kind: "list"; body?: Node }
  | { kind: "object"; members: { key: Node; value: Node }[] };
