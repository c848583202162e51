/** jq's regular expressions, in RE2's syntax. */

import { describeError } from "../../errors.ts";
import type { JsonObject } from "../../json.ts";
import { compileRegex, findAll, type RegexMatch } from "../regex/match.ts";
import type { Native, Runner } from "./evaluate.ts";
import { JqError, show } from "./values.ts";

const STEPS_PER_STEP = 10;

interface Found {
  match: RegexMatch;
  names: readonly string[];
}

function search(run: Runner, value: unknown, pattern: unknown, flags: unknown): Found[] {
  if (typeof value !== "string") {
    throw new JqError(`${show(value)} cannot be matched, as it is not a string`);
  }
  if (typeof pattern !== "string") {
    throw new JqError(`${show(pattern)} cannot be matched, as it is not a string`);
  }
  const given = flags === null || flags === undefined ? "" : flags;
  if (typeof given !== "string" || /[^gimnpslx]/.test(given)) {
    throw new JqError(`${show(flags)} is not a valid modifier string`);
  }
  const isExtended = given.includes("x");
  const source = isExtended
    ? pattern.replace(/\\.|#[^\n]*|\s+/g, (part) => part[0] === "\\" ? part : "")
    : pattern;
  const dotAll = /[sp]/.test(given) ? "s" : "";
  try {
    const regex = compileRegex(source, `${given.includes("i") ? "i" : ""}${dotAll}`);
    const charge = (steps: number) => run.charge(Math.ceil(steps / STEPS_PER_STEP));
    return findAll(regex, value, given.includes("g") ? Infinity : 1, charge)
      .filter(({ start, end }) => !given.includes("n") || start !== end)
      .map((match) => ({ match, names: regex.groupNames }));
  } catch (cause) {
    if (cause instanceof Error && cause.message.startsWith("error parsing regexp")) {
      throw new JqError(`${pattern} (at offset 0) is not a valid regex: ${describeError(cause)}`);
    }
    throw cause;
  }
}

/** Positions count characters. */
function present(text: string, { match, names }: Found): JsonObject {
  const part = (range: { start: number; end: number } | undefined) => {
    if (range === undefined) return { offset: -1, length: 0, string: null };
    const string = text.slice(range.start, range.end);
    return { offset: [...text.slice(0, range.start)].length, length: [...string].length, string };
  };
  return {
    ...part(match),
    captures: match.groups.map((group, index) => ({ ...part(group), name: names[index] || null })),
  };
}

function* all(...[run, { value }, args, names]: Parameters<Native>): Generator<Found> {
  for (const [pattern, flags] of run.product(args, value, names)) {
    const [first, second] = Array.isArray(pattern) ? pattern : [pattern, flags];
    yield* search(run, value, first, second);
  }
}

const match: Native = function* (run, input, args, names) {
  for (const found of all(run, input, args, names)) {
    yield { value: present(input.value as string, found) };
  }
};

const test: Native = function* (run, input, args, names) {
  for (const [pattern, flags] of run.product(args, input.value, names)) {
    const [first, second] = Array.isArray(pattern) ? pattern : [pattern, flags];
    yield { value: search(run, input.value, first, second).length > 0 };
  }
};

/** `match` and `test`; the others are made of them. */
export const regexNatives: readonly [string, Native][] = [
  ["match/1", match],
  ["match/2", match],
  ["test/1", test],
  ["test/2", test],
];
