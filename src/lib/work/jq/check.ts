/** Finds names that mean nothing before a program runs: a filter that is not reached would hide them. */

import type { Definition, Node, Pattern } from "./ast.ts";
import { isFormat } from "./formats.ts";
import { namesIn } from "./patterns.ts";
import { JqError } from "./values.ts";

/** Names in scope: `name/2` of functions, `$name` of variables, `label $name`. */
type Known = (name: string) => boolean;

/** Throws a `JqError` that names the first function, variable, label or format that there is not. */
export function checkNames(node: Node, isKnown: Known): void {
  const check = (inner: Node | undefined) => {
    if (inner !== undefined) checkNames(inner, isKnown);
  };
  switch (node.kind) {
    case "identity":
    case "literal":
      return;
    case "variable":
      return demand(isKnown(node.name), `variable not defined: ${node.name}`);
    case "break":
      return demand(isKnown(`label ${node.name}`), `label not defined: ${node.name}`);
    case "format":
      return demand(isFormat(node.format), `format not defined: @${node.format}`);
    case "text":
      demand(isFormat(node.format), `format not defined: @${node.format}`);
      return node.parts.forEach((part) => typeof part === "string" || check(part));
    case "call": {
      const name = `${node.name}/${node.args.length}`;
      demand(isKnown(name), `function not defined: ${name}`);
      return node.args.forEach(check);
    }
    case "define":
      checkDefinition(node.definition, isKnown);
      return checkNames(node.body, withNames(isKnown, [nameOf(node.definition)]));
    case "label":
      return checkNames(node.body, withNames(isKnown, [`label ${node.name}`]));
    case "bind":
      check(node.source);
      return checkNames(node.body, patternNames(node.patterns, isKnown));
    case "reduce":
    case "foreach": {
      const inner = patternNames([node.pattern], isKnown);
      check(node.source);
      check(node.start);
      checkNames(node.update, inner);
      if (node.kind === "foreach" && node.extract !== undefined) checkNames(node.extract, inner);
      return;
    }
    default:
      return partsOf(node).forEach(check);
  }
}

type Plain = Exclude<
  Node,
  {
    kind:
      | "identity"
      | "literal"
      | "variable"
      | "break"
      | "format"
      | "text"
      | "call"
      | "define"
      | "label"
      | "bind"
      | "reduce"
      | "foreach";
  }
>;

/** The parts of a node that gives no names. */
function partsOf(node: Plain): (Node | undefined)[] {
  switch (node.kind) {
    case "index":
      return [node.target, node.index];
    case "slice":
      return [node.target, node.from, node.until];
    case "iterate":
      return [node.target];
    case "negate":
      return [node.operand];
    case "if":
      return [node.test, node.yes, node.no];
    case "try":
      return [node.body, node.rescue];
    case "list":
      return [node.body];
    case "object":
      return node.members.flatMap(({ key, value }) => [key, value]);
    default:
      return [node.left, node.right];
  }
}

/** The body of a function may call itself. */
function checkDefinition(definition: Definition, isKnown: Known): void {
  const params = definition.params.flatMap((param) =>
    param.startsWith("$") ? [param, `${param.slice(1)}/0`] : [`${param}/0`]
  );
  checkNames(definition.body, withNames(isKnown, [nameOf(definition), ...params]));
}

function patternNames(patterns: readonly Pattern[], isKnown: Known): Known {
  const inner = withNames(isKnown, patterns.flatMap(namesIn));
  for (const pattern of patterns) checkPattern(pattern, inner);
  return inner;
}

function checkPattern(pattern: Pattern, isKnown: Known): void {
  if (pattern.kind === "name") return;
  if (pattern.kind === "list") return pattern.items.forEach((item) => checkPattern(item, isKnown));
  for (const { key, value } of pattern.members) {
    checkNames(key, isKnown);
    if (value !== undefined) checkPattern(value, isKnown);
  }
}

function withNames(outer: Known, names: readonly string[]): Known {
  return (name) => names.includes(name) || outer(name);
}

function nameOf({ name, params }: Definition): string {
  return `${name}/${params.length}`;
}

function demand(isSo: boolean, problem: string): void {
  if (!isSo) throw new JqError(problem);
}
