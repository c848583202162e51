/** Regular expressions: `matches` of the language, `find` and `findAll` of Kubernetes. */

import { type CompiledRegex, compileRegex, findAll } from "../regex/match.ts";
import { describeError } from "../../errors.ts";
import { func, method, type Overload } from "./functions.ts";
import type { Meter } from "./meter.ts";
import { CelError } from "./values.ts";

/** So many steps of a search take about as long as one step of an expression. */
const STEPS_PER_COST = 4;

function compile(meter: Meter, pattern: string): CompiledRegex {
  meter.charge(Math.ceil(pattern.length / 4));
  try {
    return compileRegex(pattern);
  } catch (cause) {
    throw new CelError(describeError(cause), { cause });
  }
}

function charging(meter: Meter) {
  return (steps: number) => meter.charge(steps / STEPS_PER_COST);
}

function matches(this: Meter, text: string, pattern: string): boolean {
  return compile(this, pattern).find(text, 0, charging(this)) !== undefined;
}

function find(this: Meter, text: string, pattern: string): string {
  const match = compile(this, pattern).find(text, 0, charging(this));
  return match === undefined ? "" : text.slice(match.start, match.end);
}

function all(this: Meter, text: string, pattern: string, limit = -1n): string[] {
  const max = limit < 0n ? Infinity : Number(limit);
  const found = findAll(compile(this, pattern), text, max, charging(this));
  return found.map(({ start, end }) => text.slice(start, end));
}

/** Searches by RE2's syntax, in linear time. */
export const regexFunctions: readonly Overload[] = [
  method("matches", "string,string", matches),
  func("matches", "string,string", matches),
  method("find", "string,string", find),
  method("findAll", "string,string", all),
  method("findAll", "string,string,int", all),
];
