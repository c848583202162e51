/** Compiled expressions: checked once, evaluated often. */

import type { Node } from "./ast.ts";
import { resolveNames } from "./check.ts";
import { Evaluation, type Scope } from "./evaluate.ts";
import { type FunctionTable, tableOf } from "./functions.ts";
import { addressFunctions } from "./addresses.ts";
import { conversionFunctions } from "./conversions.ts";
import { formatFunctions } from "./formats.ts";
import { errorAt } from "./lexer.ts";
import { listFunctions } from "./lists.ts";
import type { Meter } from "./meter.ts";
import { operatorFunctions } from "./operators.ts";
import { optionalFunctions } from "./optionals.ts";
import { parseExpression } from "./parser.ts";
import { quantityFunctions } from "./quantity.ts";
import { regexFunctions } from "./regexes.ts";
import { semverFunctions } from "./semver.ts";
import { stringFunctions } from "./strings.ts";
import { timeFunctions } from "./time.ts";
import { urlFunctions } from "./urls.ts";
import type { Value } from "./values.ts";

const FUNCTIONS: FunctionTable = tableOf(
  operatorFunctions,
  conversionFunctions,
  timeFunctions,
  stringFunctions,
  optionalFunctions,
  listFunctions,
  regexFunctions,
  urlFunctions,
  quantityFunctions,
  addressFunctions,
  formatFunctions,
  semverFunctions,
);

/** An expression that was found to be one. */
export interface Program {
  evaluate(variables: Readonly<Record<string, Value>>, meter: Meter): Value;
}

/** Compiles an expression over these variables. Throws a `CelError` that says what is wrong with it. */
export function compileCel(source: string, variables: readonly string[]): Program {
  const tree: Node = resolveNames(parseExpression(source), {
    variables: new Set(variables),
    functions: FUNCTIONS,
    fail: (at, problem) => errorAt(source, at, problem),
  });
  return {
    evaluate(given, meter) {
      meter.start();
      let scope: Scope | undefined;
      for (const [name, value] of Object.entries(given)) scope = { name, value, outer: scope };
      return new Evaluation(FUNCTIONS, meter).evaluate(tree, scope);
    },
  };
}
