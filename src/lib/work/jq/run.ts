/** Runs jq expressions about one object, within a second. */

import { describeError } from "../../errors.ts";
import type { Node } from "./ast.ts";
import { Budget, JqLimit } from "./budget.ts";
import { Runner } from "./evaluate.ts";
import { checkNames } from "./check.ts";
import { natives } from "./natives.ts";
import { parseJq } from "./parser.ts";
import { preludeNames } from "./prelude.ts";

/** How much an expression may take; what exceeds it is an error. */
export interface JqLimits {
  elapsedMsMax?: number;
  stepsMax?: number;
}

const ELAPSED_MS_MAX = 1_000;
const STEPS_MAX = 2_000_000;

/** The results of a program for one input. Throws an `Error` that says why there are none. */
export function runJq(source: string, input: unknown, limits: JqLimits = {}): unknown[] {
  const { elapsedMsMax = ELAPSED_MS_MAX, stepsMax = STEPS_MAX } = limits;
  const program: Node = parseJq(source);
  checkNames(program, (name) => natives.has(name) || preludeNames.find(name) !== undefined);
  const deadline = performance.now() + elapsedMsMax;
  const runner = new Runner(natives, new Budget({ deadline, stepsMax }));
  try {
    return [...runner.values(program, input, preludeNames)];
  } catch (error) {
    if (error instanceof JqLimit) {
      throw new Error(`the expression takes too long: ${describeError(error)}`, { cause: error });
    }
    if (error instanceof RangeError) {
      throw new Error("the expression needs too much memory", { cause: error });
    }
    throw error;
  }
}
