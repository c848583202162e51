/**
 * Runs a jq program.
 *
 * A filter turns one value into none, one or many. Where the paths of its results are wanted (`del`, `|=`),
 * the same walk carries them along.
 */

import type { Definition, Node } from "./ast.ts";
import { Break, type Budget } from "./budget.ts";
import {
  type Meaning,
  type Names,
  valueOf,
  withDefinition,
  withMeaning,
  withValue,
} from "./names.ts";
import { destructure, namesIn } from "./patterns.ts";
import { deletePaths, type Step, stepInto, updatePath } from "./paths.ts";
import { calculate, isTrue, JqError, keysOf, numberOf, show, typeOf } from "./values.ts";
import { isObject, type JsonObject } from "../../json.ts";

/** A value, and where it is if that is wanted. */
export interface Place {
  value: unknown;
  path?: readonly Step[];
}

/** Places, one after the other. */
export type Places = Generator<Place, void, undefined>;

/** A function that is not written in jq. */
export type Native = (run: Runner, input: Place, args: readonly Node[], names: Names) => Places;

/** Walks the tree of a program. */
export class Runner {
  constructor(
    private readonly natives: ReadonlyMap<string, Native>,
    private readonly budget: Budget,
  ) {}

  /** Counts work, and ends what takes too long. */
  charge(steps: number): void {
    this.budget.charge(steps);
  }

  /** The values of a filter, without their paths. */
  *values(node: Node, input: unknown, names: Names): Generator<unknown, void, undefined> {
    for (const { value } of this.run(node, { value: input }, names)) yield value;
  }

  /** All combinations of the values of some filters; the last one changes fastest. */
  *product(
    nodes: readonly Node[],
    input: unknown,
    names: Names,
  ): Generator<unknown[], void, undefined> {
    const [first, ...rest] = nodes;
    if (first === undefined) return void (yield []);
    for (const value of this.values(first, input, names)) {
      for (const others of this.product(rest, input, names)) yield [value, ...others];
    }
  }

  /** The results of a filter for one input. */
  *run(node: Node, input: Place, names: Names): Places {
    this.charge(1);
    switch (node.kind) {
      case "identity":
        yield input;
        return;
      case "literal":
        return yield* this.made(input, node.value);
      case "variable":
        return yield* this.made(input, valueOf(names, node.name));
      case "index":
      case "slice":
      case "iterate":
        return yield* this.access(node, input, names);
      case "pipe":
        for (const place of this.run(node.left, input, names)) {
          yield* this.run(node.right, place, names);
        }
        return;
      case "comma":
        yield* this.run(node.left, input, names);
        return yield* this.run(node.right, input, names);
      case "if":
        for (const test of this.values(node.test, input.value, names)) {
          yield* this.run(isTrue(test) ? node.yes : node.no, input, names);
        }
        return;
      case "alternative":
        return yield* this.alternative(node, input, names);
      case "try":
        return yield* this.attempt(node, input, names);
      case "reduce":
      case "foreach":
        return yield* this.fold(node, input, names);
      case "bind":
        return yield* this.bind(node, input, names);
      case "label":
        return yield* this.label(node, input, names);
      case "break":
        throw new Break(valueOf(names, `label ${node.name}`) as object);
      case "define": {
        const { definition, body } = node;
        return yield* this.run(body, input, withDefinition(names, definition));
      }
      case "call":
        return yield* this.call(node, input, names);
      default:
        for (const value of this.construct(node, input.value, names)) {
          yield* this.made(input, value);
        }
    }
  }

  /** A value that is not part of the input has no path. */
  private *made(input: Place, value: unknown): Places {
    if (input.path === undefined) yield { value };
    // `empty` and `null` are how paths to nothing are written.
    else if (value === null && input.value === null) yield input;
    else throw new JqError(`invalid path expression with result ${show(value)}`);
  }

  private *access(
    node: Extract<Node, { kind: "index" | "slice" | "iterate" }>,
    input: Place,
    names: Names,
  ): Places {
    for (const target of this.run(node.target, input, names)) {
      if (node.kind === "iterate") {
        for (const step of stepsOf(target.value)) yield this.step(target, step);
        continue;
      }
      if (node.kind === "index") {
        for (const step of this.values(node.index, input.value, names)) {
          yield this.step(target, step);
        }
        continue;
      }
      const none: Node = { kind: "literal", value: null };
      for (const end of this.values(node.until ?? none, input.value, names)) {
        for (const start of this.values(node.from ?? none, input.value, names)) {
          yield this.step(target, { start, end });
        }
      }
    }
  }

  /** One step further into a value. */
  step({ value, path }: Place, step: Step): Place {
    this.charge(1);
    const inner = stepInto(value, step);
    return path === undefined ? { value: inner } : { value: inner, path: [...path, step] };
  }

  private *alternative(
    { left, right }: Extract<Node, { kind: "alternative" }>,
    input: Place,
    names: Names,
  ): Places {
    let isFound = false;
    try {
      for (const place of this.run(left, input, names)) {
        if (!isTrue(place.value)) continue;
        isFound = true;
        yield place;
      }
    } catch (error) {
      if (!(error instanceof JqError)) throw error;
    }
    if (!isFound) yield* this.run(right, input, names);
  }

  private *attempt(
    { body, rescue }: Extract<Node, { kind: "try" }>,
    input: Place,
    names: Names,
  ): Places {
    const results = this.run(body, input, names);
    for (;;) {
      let next: IteratorResult<Place, void>;
      // Only what the body raises is caught, not what comes of its results later.
      try {
        next = results.next();
      } catch (error) {
        if (!(error instanceof JqError)) throw error;
        if (rescue !== undefined) yield* this.run(rescue, { value: error.value }, names);
        return;
      }
      if (next.done) return;
      yield next.value;
    }
  }

  private *fold(
    node: Extract<Node, { kind: "reduce" | "foreach" }>,
    input: Place,
    names: Names,
  ): Places {
    for (const start of this.run(node.start, input, names)) {
      let state: Place | undefined = start;
      for (const item of this.values(node.source, input.value, names)) {
        for (const inner of destructure(this, node.pattern, item, names)) {
          if (node.kind === "foreach") {
            for (const place of this.run(node.update, state ?? { value: null }, inner)) {
              state = place;
              if (node.extract === undefined) yield place;
              else yield* this.run(node.extract, place, inner);
            }
            continue;
          }
          const before: Place = state ?? { value: null };
          state = undefined;
          for (const place of this.run(node.update, before, inner)) state = place;
        }
      }
      if (node.kind === "reduce") yield state ?? { value: null };
    }
  }

  private *bind(node: Extract<Node, { kind: "bind" }>, input: Place, names: Names): Places {
    const all = node.patterns.flatMap(namesIn);
    for (const value of this.values(node.source, input.value, names)) {
      // Names of patterns that were not chosen are null.
      const empty = all.reduce((inner, name) => withValue(inner, name, null), names);
      for (const [index, pattern] of node.patterns.entries()) {
        try {
          for (const inner of destructure(this, pattern, value, empty)) {
            yield* this.run(node.body, input, inner);
          }
          break;
        } catch (error) {
          if (!(error instanceof JqError) || index === node.patterns.length - 1) throw error;
        }
      }
    }
  }

  private *label(
    { name, body }: Extract<Node, { kind: "label" }>,
    input: Place,
    names: Names,
  ): Places {
    const label = {};
    try {
      yield* this.run(body, input, withValue(names, `label ${name}`, label));
    } catch (error) {
      if (!(error instanceof Break) || error.label !== label) throw error;
    }
  }

  private *call(node: Extract<Node, { kind: "call" }>, input: Place, names: Names): Places {
    const name = `${node.name}/${node.args.length}`;
    const found = names.find(name);
    if (found?.kind === "filter") return yield* this.run(found.body, input, found.names);
    if (found?.kind === "function") {
      const { definition } = found;
      const own = withDefinition(found.names, definition);
      return yield* this.apply(definition, 0, node.args, input, own, names);
    }
    const native = this.natives.get(name);
    if (native === undefined) throw new JqError(`function not defined: ${name}`);
    for (const place of native(this, input, node.args, names)) {
      // A new value has no place in the input, so nothing can be deleted or set there.
      if (input.path === undefined || place.path !== undefined) yield place;
      else throw new JqError(`invalid path expression with result ${show(place.value)}`);
    }
  }

  private *apply(
    definition: Definition,
    index: number,
    args: readonly Node[],
    input: Place,
    inner: Names,
    outer: Names,
  ): Places {
    const param = definition.params[index];
    const body = args[index];
    if (param === undefined || body === undefined) {
      return yield* this.run(definition.body, input, inner);
    }
    const next = (names: Names) => this.apply(definition, index + 1, args, input, names, outer);
    if (!param.startsWith("$")) {
      return yield* next(withMeaning(inner, `${param}/0`, { kind: "filter", body, names: outer }));
    }
    for (const value of this.values(body, input.value, outer)) {
      const filter: Meaning = { kind: "filter", body: literal(value), names: outer };
      yield* next(withMeaning(withValue(inner, param, value), `${param.slice(1)}/0`, filter));
    }
  }

  private *construct(
    node: Node,
    input: unknown,
    names: Names,
  ): Generator<unknown, void, undefined> {
    switch (node.kind) {
      case "list":
        return void (yield node.body === undefined
          ? []
          : [...this.values(node.body, input, names)]);
      case "object":
        return yield* this.object(node.members, input, names);
      case "negate":
        for (const value of this.values(node.operand, input, names)) {
          if (typeOf(value) !== "number") throw new JqError(`${show(value)} cannot be negated`);
          yield -numberOf(value);
        }
        return;
      case "binary":
        // As jq does, the right side changes slowest.
        for (const right of this.values(node.right, input, names)) {
          for (const left of this.values(node.left, input, names)) {
            const result = calculate(node.operator, left, right);
            this.charge(Array.isArray(result) ? result.length : 1);
            yield result;
          }
        }
        return;
      case "and":
      case "or":
        for (const left of this.values(node.left, input, names)) {
          if (isTrue(left) === (node.kind === "or")) yield node.kind === "or";
          else for (const right of this.values(node.right, input, names)) yield isTrue(right);
        }
        return;
      case "assign":
        return yield* this.assign(node, input, names);
      default: {
        const format = this.natives.get("format text");
        if (format === undefined) throw new JqError("no formats");
        for (const { value } of format(this, { value: input }, [node], names)) yield value;
      }
    }
  }

  private *object(
    members: readonly { key: Node; value: Node }[],
    input: unknown,
    names: Names,
  ): Generator<JsonObject, void, undefined> {
    const [first, ...rest] = members;
    if (first === undefined) return void (yield {});
    for (const key of this.values(first.key, input, names)) {
      if (typeof key !== "string") {
        throw new JqError(`expected a string for object key but got: ${show(key)}`);
      }
      for (const value of this.values(first.value, input, names)) {
        for (const others of this.object(rest, input, names)) yield { [key]: value, ...others };
      }
    }
  }

  private *assign(
    { operator, left, right }: Extract<Node, { kind: "assign" }>,
    input: unknown,
    names: Names,
  ): Generator<unknown, void, undefined> {
    const paths = [...this.run(left, { value: input, path: [] }, names)].map(({ path }) =>
      path ?? []
    );
    if (operator === "|=") {
      const unset: (readonly Step[])[] = [];
      const result = paths.reduce((value, path) =>
        updatePath(value, path, (old) => {
          const next = this.values(right, old, names).next();
          // Updated to nothing: it goes.
          if (next.done) unset.push(path);
          return next.done ? old : next.value;
        }), input);
      return void (yield deletePaths(result, unset));
    }
    for (const value of this.values(right, input, names)) {
      yield paths.reduce<unknown>((result, path) =>
        updatePath(result, path, (old) => {
          if (operator === "=") return value;
          if (operator === "//=") return isTrue(old) ? old : value;
          return calculate(operator.slice(0, -1), old, value);
        }), input);
    }
  }
}

function literal(value: unknown): Node {
  return { kind: "literal", value };
}

/** The keys or indexes over which `.[]` goes. */
export function stepsOf(value: unknown): readonly Step[] {
  if (Array.isArray(value)) return value.map((_, index) => index);
  if (isObject(value)) return keysOf(value);
  throw new JqError(`cannot iterate over ${show(value)}`);
}
