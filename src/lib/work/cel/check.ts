/**
 * Gives names their meaning before anything is evaluated: variables, types, functions with a dotted name.
 *
 * What a value is is known when it is there (`object` can be anything), so types are not checked here.
 */

import type { Node } from "./ast.ts";
import type { FunctionTable } from "./functions.ts";
import { type CelError, TypeValue } from "./values.ts";

const TYPES = new Set([
  ..."bool int uint double string bytes list map null_type type optional_type".split(" "),
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
]);

/** What names may mean, and how an error about one is made. */
export interface Meanings {
  variables: ReadonlySet<string>;
  functions: FunctionTable;
  fail: (at: number, problem: string) => CelError;
}

/** The tree with its names resolved. Throws a `CelError` for a name that means nothing. */
export function resolveNames(node: Node, meanings: Meanings): Node {
  const { variables } = meanings;
  const within = (name: string) => (inner: Node) =>
    resolveNames(inner, { ...meanings, variables: new Set([...variables, name]) });
  const resolve = (inner: Node) => resolveNames(inner, meanings);
  switch (node.kind) {
    case "constant":
      return node;
    case "ident":
      if (variables.has(node.name)) return node;
      return typeNamed(node.name) ?? refuse(meanings, node.at, node.name);
    case "select": {
      const name = dottedName(node, variables);
      const type = name === undefined ? undefined : typeNamed(name);
      return type ?? { ...node, operand: resolve(node.operand) };
    }
    case "has":
      return { ...node, operand: resolve(node.operand) };
    case "index":
      return { ...node, operand: resolve(node.operand), index: resolve(node.index) };
    case "call":
      return resolveCall(node, meanings);
    case "and":
    case "or":
      return { ...node, left: resolve(node.left), right: resolve(node.right) };
    case "conditional":
      return { ...node, test: resolve(node.test), yes: resolve(node.yes), no: resolve(node.no) };
    case "list":
      return {
        ...node,
        items: node.items.map((item) => ({ ...item, value: resolve(item.value) })),
      };
    case "map":
      return {
        ...node,
        entries: node.entries.map((entry) => ({
          ...entry,
          key: resolve(entry.key),
          value: resolve(entry.value),
        })),
      };
    case "message":
      return refuse(meanings, 0, node.name);
    case "loop": {
      const range = resolve(node.range);
      return { ...node, range, steps: node.steps.map(within(node.variable)) };
    }
    case "optional":
      return { ...node, operand: resolve(node.operand), body: within(node.variable)(node.body) };
  }
}

function resolveCall(node: Extract<Node, { kind: "call" }>, meanings: Meanings): Node {
  const { variables, functions } = meanings;
  const { name, target, at } = node;
  const resolve = (inner: Node) => resolveNames(inner, meanings);
  const space = target === undefined ? undefined : dottedName(target, variables);
  const dotted = `${space}.${name}`;
  if (space !== undefined && functions.has(dotted)) {
    return checked({ kind: "call", name: dotted, at, args: node.args.map(resolve) }, meanings);
  }
  const resolved = target === undefined ? {} : { target: resolve(target) };
  return checked({ kind: "call", name, at, ...resolved, args: node.args.map(resolve) }, meanings);
}

function checked(node: Extract<Node, { kind: "call" }>, meanings: Meanings): Node {
  const { name, target, args, at } = node;
  if (name === "==" || name === "!=") return node;
  const overloads = meanings.functions.get(name);
  if (overloads === undefined) return refuse(meanings, at, name);
  const count = args.length + (target === undefined ? 0 : 1);
  const isMethod = target !== undefined;
  if (overloads.some((one) => one.isMethod === isMethod && one.types.length === count)) return node;
  const applied = `${isMethod ? "dyn." : ""}(${args.map(() => "dyn").join(", ")})`;
  throw meanings.fail(at, `found no matching overload for '${name}' applied to '${applied}'`);
}

function dottedName(node: Node, variables: ReadonlySet<string>): string | undefined {
  if (node.kind === "ident") return variables.has(node.name) ? undefined : node.name;
  if (node.kind !== "select" || node.isOptional) return undefined;
  const before = dottedName(node.operand, variables);
  return before === undefined ? undefined : `${before}.${node.field}`;
}

function typeNamed(name: string): Node | undefined {
  return TYPES.has(name) ? { kind: "constant", value: new TypeValue(name) } : undefined;
}

function refuse({ fail }: Meanings, at: number, name: string): never {
  throw fail(at, `undeclared reference to '${name}' (in container '')`);
}
