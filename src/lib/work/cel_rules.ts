/** Condition rules written in CEL. Loaded when the first of them arrives. */

import { describeError } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import { Meter, type MeterOptions } from "./cel/meter.ts";
import { compileCel, type Program } from "./cel/program.ts";
import { CelError, fromJson, goTypeName, type Value } from "./cel/values.ts";

/** What a rule found; `error` says why it found nothing. */
export type Verdict = { isTrue: boolean } | { error: string };

/** Evaluates expressions about one object, within one budget. */
export interface CelReader {
  /** True if all expressions are; the first that is not ends it. */
  areTrue(expressions: readonly string[]): Verdict;
  /** The message that an expression makes, or why it makes none. */
  message(expression: string, isTrue: boolean): string;
}

/** Works share their rules, so programs are kept by their text. */
const PROGRAMS_MAX = 500;
const programs = new Map<string, Program | CelError>();

/** Opens an object for expressions. */
export function readWithCel(object: JsonObject, limits: MeterOptions = {}): CelReader {
  const meter = new Meter(limits);
  const value = fromJson(object);

  const evaluate = (source: string, variables: Record<string, Value>): Value => {
    const program = programOf(source, Object.keys(variables));
    if (program instanceof CelError) throw program;
    return program.evaluate(variables, meter);
  };

  return {
    areTrue(expressions) {
      try {
        for (const expression of expressions) {
          const result = evaluate(expression, { object: value });
          if (typeof result !== "boolean") {
            return { error: `expected bool result, got ${goTypeName(result)}` };
          }
          if (!result) return { isTrue: false };
        }
        return { isTrue: true };
      } catch (error) {
        return { error: describe(error) };
      }
    },
    message(expression, isTrue) {
      try {
        const result = evaluate(expression, { object: value, result: isTrue });
        if (typeof result === "string") return result;
        return `expected message expression to have a string result, got ${goTypeName(result)}`;
      } catch (error) {
        return describe(error).split("\n")[0] ?? "";
      }
    },
  };
}

/** A stack that is too deep or a text that is too long is the expression's fault as well. */
function describe(error: unknown): string {
  return error instanceof RangeError ? "CEL evaluation budget exceeded" : describeError(error);
}

function programOf(source: string, variables: readonly string[]): Program | CelError {
  const key = `${variables.join()} ${source}`;
  const found = programs.get(key);
  if (found !== undefined) return found;
  const made = compile(source, variables);
  const [oldest] = programs.keys();
  if (programs.size >= PROGRAMS_MAX && oldest !== undefined) programs.delete(oldest);
  programs.set(key, made);
  return made;
}

function compile(source: string, variables: readonly string[]): Program | CelError {
  try {
    return compileCel(source, variables);
  } catch (error) {
    if (error instanceof CelError) return error;
    throw error;
  }
}
