/** Evaluates the tree of an expression. */

import type { Node } from "./ast.ts";
import { callFunction, type FunctionTable } from "./functions.ts";
import { BudgetError, type Meter } from "./meter.ts";
import {
  CelError,
  CelMap,
  deepWeight,
  equals,
  isList,
  isOpaque,
  numberOf,
  Optional,
  typeName,
  type Value,
  weight,
} from "./values.ts";

/** The variables that an expression sees. */
export interface Scope {
  name: string;
  value: Value;
  outer: Scope | undefined;
}

const LIST_COST = 10;
const MAP_COST = 30;
const LOOP_COST = 3;

/** One evaluation: what it may call, and what it may cost. */
export class Evaluation {
  constructor(private readonly functions: FunctionTable, private readonly meter: Meter) {}

  /** The value of a tree. Throws a `CelError`. */
  evaluate(node: Node, scope: Scope | undefined): Value {
    switch (node.kind) {
      case "constant":
        return node.value;
      case "ident":
        this.meter.charge(1);
        return lookUp(node.name, scope);
      case "select":
        return this.select(this.evaluate(node.operand, scope), node.field, node.isOptional);
      case "index":
        return this.index(node, scope);
      case "has":
        return this.has(this.evaluate(node.operand, scope), node.field);
      case "call":
        return this.call(node, scope);
      case "and":
      case "or":
        return this.logic(node, scope);
      case "conditional":
        return this.truth(node.test, scope)
          ? this.evaluate(node.yes, scope)
          : this.evaluate(node.no, scope);
      case "list":
        return this.list(node, scope);
      case "map":
        return this.map(node, scope);
      case "message":
        throw new CelError(`undeclared reference to '${node.name}' (in container '')`);
      case "loop":
        return this.loop(node, scope);
      case "optional":
        return this.optional(node, scope);
    }
  }

  private select(operand: Value, field: string, isOptional: boolean): Value {
    this.meter.charge(1);
    if (operand instanceof Optional) {
      if (operand.value === undefined) return operand;
      const inner = this.member(operand.value, field);
      // A key may be missing, but what has no keys at all was not meant.
      if (inner !== undefined || isOptional || operand.value instanceof CelMap) {
        return optionally(inner);
      }
      throw new CelError(`no such key: ${field}`);
    }
    const found = this.member(operand, field);
    if (isOptional) return optionally(found);
    if (found === undefined) throw new CelError(`no such key: ${field}`);
    return found;
  }

  /** What is neither a map nor a list has no members. */
  private member(operand: Value, field: string): Value | undefined {
    if (operand instanceof CelMap) return operand.get(field);
    if (isOpaque(operand)) throw new CelError("no such overload");
    if (operand !== null && typeof operand === "object" && isList(operand)) {
      throw new CelError("unsupported index type 'string' in list");
    }
    return undefined;
  }

  private index(node: Extract<Node, { kind: "index" }>, scope: Scope | undefined): Value {
    const given = this.evaluate(node.operand, scope);
    const index = this.evaluate(node.index, scope);
    this.meter.charge(1);
    const isOptional = node.isOptional || given instanceof Optional;
    const operand = given instanceof Optional ? given.value : given;
    if (operand === undefined) return given;
    if (operand instanceof CelMap) {
      if (numberOf(index) === undefined && !["string", "bool"].includes(typeName(index))) {
        throw new CelError("unsupported key type");
      }
      const found = operand.get(index);
      if (isOptional) return optionally(found);
      if (found === undefined) throw new CelError(`no such key: ${show(index)}`);
      return found;
    }
    if (isOpaque(operand)) throw new CelError("no such overload");
    if (operand === null || typeof operand !== "object" || !isList(operand)) {
      if (node.isOptional) return optionally(undefined);
      throw new CelError(`no such key: ${show(index)}`);
    }
    const at = numberOf(index);
    if (at === undefined) throw new CelError(`unsupported index type '${typeName(index)}' in list`);
    if (!Number.isInteger(Number(at))) throw new CelError(`unsupported index value ${at} in list`);
    const found = operand[Number(at)];
    if (isOptional) return optionally(found);
    if (found === undefined) throw new CelError(`index out of bounds: ${at}`);
    return found;
  }

  private has(operand: Value, field: string): boolean {
    this.meter.charge(1);
    if (operand instanceof Optional) {
      return operand.value !== undefined && this.member(operand.value, field) !== undefined;
    }
    return this.member(operand, field) !== undefined;
  }

  private call(node: Extract<Node, { kind: "call" }>, scope: Scope | undefined): Value {
    const { name, target } = node;
    const receiver = target === undefined ? undefined : this.evaluate(target, scope);
    // What stands in for a missing value is not looked at while there is one.
    const isAlternative = name === "or" || name === "orValue";
    if (isAlternative && receiver instanceof Optional && receiver.value !== undefined) {
      this.meter.charge(1);
      return name === "or" ? receiver : receiver.value;
    }
    const args = node.args.map((arg) => this.evaluate(arg, scope));
    if (receiver !== undefined) args.unshift(receiver);
    if (name === "==" || name === "!=") return this.compare(name, args as [Value, Value]);
    const overloads = this.functions.get(name) ?? [];
    return callFunction(overloads, target !== undefined, args, this.meter);
  }

  private compare(name: "==" | "!=", [left, right]: [Value, Value]): boolean {
    this.meter.charge(1);
    const cost = Math.min(weight(left), weight(right));
    this.meter.charge(cost < 2 ? 1 : deepWeight(left, 100_000));
    return equals(left, right) === (name === "==");
  }

  private truth(node: Node, scope: Scope | undefined): boolean {
    const value = this.evaluate(node, scope);
    if (typeof value !== "boolean") throw new CelError("no such overload");
    return value;
  }

  /** Either side decides; an error counts only if the other side does not decide. */
  private logic(node: Extract<Node, { kind: "and" | "or" }>, scope: Scope | undefined): boolean {
    this.meter.charge(1);
    const decisive = node.kind === "or";
    let failure: CelError | undefined;
    for (const side of [node.left, node.right]) {
      const result = this.attempt(side, scope);
      if (result === decisive) return decisive;
      if (result instanceof CelError) failure ??= result;
    }
    if (failure !== undefined) throw failure;
    return !decisive;
  }

  private attempt(node: Node, scope: Scope | undefined): boolean | CelError {
    try {
      return this.truth(node, scope);
    } catch (error) {
      if (error instanceof CelError && !(error instanceof BudgetError)) return error;
      throw error;
    }
  }

  private list(node: Extract<Node, { kind: "list" }>, scope: Scope | undefined): Value {
    this.meter.charge(LIST_COST + node.items.length);
    const items: Value[] = [];
    for (const { value, isOptional } of node.items) {
      const item = this.evaluate(value, scope);
      if (!isOptional) items.push(item);
      else if (!(item instanceof Optional)) throw new CelError("no such overload");
      else if (item.value !== undefined) items.push(item.value);
    }
    return items;
  }

  private map(node: Extract<Node, { kind: "map" }>, scope: Scope | undefined): Value {
    this.meter.charge(MAP_COST + node.entries.length);
    const map = new CelMap();
    for (const { key: keyNode, value: valueNode, isOptional } of node.entries) {
      const key = this.evaluate(keyNode, scope);
      const value = this.evaluate(valueNode, scope);
      if (isOptional && !(value instanceof Optional)) throw new CelError("no such overload");
      const given = isOptional ? (value as Optional).value : value;
      if (map.get(key) !== undefined) {
        throw new CelError(`Failed with repeated key: ${show(key)}`);
      }
      if (given !== undefined) map.set(key, given);
    }
    return map;
  }

  private loop(node: Extract<Node, { kind: "loop" }>, scope: Scope | undefined): Value {
    const range = this.evaluate(node.range, scope);
    const items = range instanceof CelMap ? range.keys() : range;
    if (items === null || typeof items !== "object" || !isList(items)) {
      throw new CelError(`got '${goType(items)}', expected iterable type`);
    }
    const inner = (value: Value): Scope => {
      this.meter.charge(LOOP_COST);
      return { name: node.variable, value, outer: scope };
    };
    const [first, second] = node.steps as [Node, Node | undefined];
    switch (node.macro) {
      case "all":
      case "exists":
        return this.quantify(node.macro === "exists", first, items, inner);
      case "existsOne":
        return items.filter((item) => this.truth(first, inner(item))).length === 1;
      case "filter":
        return items.filter((item) => this.truth(first, inner(item)));
      case "map":
        return items.flatMap((item) => {
          const here = inner(item);
          if (second === undefined) return [this.evaluate(first, here)];
          return this.truth(first, here) ? [this.evaluate(second, here)] : [];
        });
    }
  }

  private quantify(
    decisive: boolean,
    body: Node,
    items: readonly Value[],
    inner: (value: Value) => Scope,
  ): boolean {
    let failure: CelError | undefined;
    for (const item of items) {
      const result = this.attempt(body, inner(item));
      if (result === decisive) return decisive;
      if (result instanceof CelError) failure ??= result;
    }
    if (failure !== undefined) throw failure;
    return !decisive;
  }

  private optional(node: Extract<Node, { kind: "optional" }>, scope: Scope | undefined): Value {
    const operand = this.evaluate(node.operand, scope);
    this.meter.charge(LOOP_COST);
    if (!(operand instanceof Optional)) throw new CelError("no such overload");
    if (operand.value === undefined) return operand;
    const inner = { name: node.variable, value: operand.value, outer: scope };
    const result = this.evaluate(node.body, inner);
    if (node.macro === "optMap") return new Optional(result);
    if (!(result instanceof Optional)) throw new CelError("no such overload");
    return result;
  }
}

function lookUp(name: string, scope: Scope | undefined): Value {
  for (let found = scope; found !== undefined; found = found.outer) {
    if (found.name === name) return found.value;
  }
  throw new CelError(`no such attribute: ${name}`);
}

function optionally(value: Value | undefined): Optional {
  return new Optional(value);
}

function show(value: Value): string {
  return String(numberOf(value) ?? value);
}

function goType(value: Value): string {
  const name = typeName(value);
  return `types.${name === "null_type" ? "Null" : name.charAt(0).toUpperCase() + name.slice(1)}`;
}
