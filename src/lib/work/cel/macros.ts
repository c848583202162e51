/** The macros of CEL: calls that take names and expressions rather than values. */

import type { LoopMacro, Node } from "./ast.ts";
import { CelError } from "./values.ts";

const LOOPS: Record<string, LoopMacro> = {
  all: "all",
  exists: "exists",
  exists_one: "existsOne",
  existsOne: "existsOne",
  filter: "filter",
  map: "map",
};

/** The node of a macro, or undefined if the call is not one. */
export function expandMacro(
  name: string,
  target: Node | undefined,
  args: Node[],
): Node | undefined {
  if (target === undefined) {
    return name === "has" && args.length === 1 ? expandHas(args) : undefined;
  }
  const [first, ...steps] = args;
  if ((name === "optMap" || name === "optFlatMap") && steps.length === 1) {
    const variable = variableOf(name, first);
    return { kind: "optional", macro: name, operand: target, variable, body: steps[0] as Node };
  }
  const macro = Object.hasOwn(LOOPS, name) ? LOOPS[name] : undefined;
  if (macro === undefined || steps.length < 1 || steps.length > (macro === "map" ? 2 : 1)) {
    return undefined;
  }
  return { kind: "loop", macro, range: target, variable: variableOf(name, first), steps };
}

function expandHas([operand]: Node[]): Node {
  if (operand?.kind !== "select" || operand.isOptional) {
    throw new CelError("ERROR: <input>: invalid argument to has() macro");
  }
  return { kind: "has", operand: operand.operand, field: operand.field };
}

function variableOf(name: string, node: Node | undefined): string {
  if (node?.kind === "ident") return node.name;
  throw new CelError(`ERROR: <input>: ${name}() variable name must be a simple identifier`);
}
