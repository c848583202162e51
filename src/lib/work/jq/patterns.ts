/** Takes values apart by patterns: `. as [$a, {b: $c}]`. */

import type { Node, Pattern } from "./ast.ts";
import { type Names, withValue } from "./names.ts";
import { stepInto } from "./paths.ts";

/** What evaluates the keys of a pattern. */
interface Evaluator {
  values(node: Node, input: unknown, names: Names): Iterable<unknown>;
}

/** A member of an object or an item of a list, by its key. */
type Part = { key: Node; name?: string; value?: Pattern };

/** The names that a pattern gives to the parts of a value; once for each combination of its keys. */
export function* destructure(
  run: Evaluator,
  pattern: Pattern,
  value: unknown,
  names: Names,
): Generator<Names, void, undefined> {
  if (pattern.kind === "name") return void (yield withValue(names, pattern.name, value));
  yield* destructureParts(run, partsOf(pattern), value, names);
}

function* destructureParts(
  run: Evaluator,
  parts: readonly Part[],
  whole: unknown,
  names: Names,
): Generator<Names, void, undefined> {
  const [part, ...rest] = parts;
  if (part === undefined) return void (yield names);
  for (const key of run.values(part.key, whole, names)) {
    const value = stepInto(whole, key);
    const named = part.name === undefined ? names : withValue(names, part.name, value);
    const inners = part.value === undefined ? [named] : destructure(run, part.value, value, named);
    for (const inner of inners) yield* destructureParts(run, rest, whole, inner);
  }
}

function partsOf(pattern: Exclude<Pattern, { kind: "name" }>): readonly Part[] {
  if (pattern.kind === "object") return pattern.members;
  return pattern.items.map((value, index) => ({ key: { kind: "literal", value: index }, value }));
}

/** All names of a pattern. */
export function namesIn(pattern: Pattern): string[] {
  if (pattern.kind === "name") return [pattern.name];
  return partsOf(pattern).flatMap(({ name, value }) => [
    ...(name === undefined ? [] : [name]),
    ...(value === undefined ? [] : namesIn(value)),
  ]);
}
