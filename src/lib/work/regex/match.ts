/**
 * Regular expressions in linear time.
 *
 * Rules come from other people, and an engine that backtracks can be held up for ever by a pattern of ten
 * characters. Here all ways through a pattern are followed at once, so a match costs at most the length of the
 * text times that of the pattern, and every step is charged.
 */

import { isWordPoint } from "./classes.ts";
import { type CharTest, type ParsedRegex, parseRegex, type Place, type Regex } from "./parse.ts";

type Instruction =
  | { op: "char"; test: CharTest }
  | { op: "split"; first: number; second: number }
  | { op: "jump"; to: number }
  | { op: "save"; slot: number }
  | { op: "place"; place: Place }
  | { op: "match" };

/** Where a match and its groups lie, as offsets of UTF-16; a group that took no part is undefined. */
export interface RegexMatch {
  start: number;
  end: number;
  groups: ({ start: number; end: number } | undefined)[];
}

/** Takes what a search costs; throws when that is too much. */
export type Charge = (steps: number) => void;

/** A compiled expression. */
export interface CompiledRegex {
  /** The names of the groups; empty for one without a name. */
  groupNames: readonly string[];
  /** The leftmost match at or after `from`, or undefined. */
  find(text: string, from: number, charge: Charge): RegexMatch | undefined;
}

const PROGRAM_MAX = 20_000;

/** Compiles an expression in RE2's syntax. Throws an `Error` if it is none, or far too large. */
export function compileRegex(pattern: string, flags = ""): CompiledRegex {
  const parsed = parseRegex(pattern, flags);
  const program = compile(parsed);
  return {
    groupNames: parsed.groups,
    find: (text, from, charge) => search(program, parsed.groups.length, text, from, charge),
  };
}

function compile({ root }: ParsedRegex): Instruction[] {
  const program: Instruction[] = [];
  const add = (instruction: Instruction): number => {
    if (program.length >= PROGRAM_MAX) {
      throw new Error("error parsing regexp: expression too large");
    }
    return program.push(instruction) - 1;
  };
  const emit = (regex: Regex): void => {
    switch (regex.kind) {
      case "empty":
        return;
      case "char":
        add({ op: "char", test: regex.test });
        return;
      case "place":
        add({ op: "place", place: regex.place });
        return;
      case "group":
        add({ op: "save", slot: regex.index * 2 });
        emit(regex.body);
        add({ op: "save", slot: regex.index * 2 + 1 });
        return;
      case "sequence":
        regex.parts.forEach(emit);
        return;
      case "choice":
        emitChoice(regex.branches);
        return;
      case "repeat":
        emitRepeat(regex);
    }
  };
  const emitChoice = (branches: Regex[]) => {
    const ends: { op: "jump"; to: number }[] = [];
    branches.forEach((branch, index) => {
      if (index === branches.length - 1) return emit(branch);
      const split = { op: "split" as const, first: 0, second: 0 };
      split.first = add(split) + 1;
      emit(branch);
      const end = { op: "jump" as const, to: 0 };
      add(end);
      ends.push(end);
      split.second = program.length;
    });
    for (const end of ends) end.to = program.length;
  };
  const emitRepeat = ({ body, min, max, isLazy }: Extract<Regex, { kind: "repeat" }>) => {
    const branch = () => {
      const split = { op: "split" as const, first: 0, second: 0 };
      const at = add(split);
      return {
        at,
        aim: (inside: number, outside: number) => {
          [split.first, split.second] = isLazy ? [outside, inside] : [inside, outside];
        },
      };
    };
    for (let count = 0; count < min; count++) emit(body);
    if (max === Infinity) {
      const { at, aim } = branch();
      emit(body);
      add({ op: "jump", to: at });
      aim(at + 1, program.length);
      return;
    }
    const aims: ((outside: number) => void)[] = [];
    for (let count = min; count < max; count++) {
      const { at, aim } = branch();
      aims.push((outside) => aim(at + 1, outside));
      emit(body);
    }
    for (const aim of aims) aim(program.length);
  };
  emit(root);
  add({ op: "match" });
  return program;
}

interface Thread {
  at: number;
  slots: readonly number[];
}

function search(
  program: readonly Instruction[],
  groupCount: number,
  text: string,
  from: number,
  charge: Charge,
): RegexMatch | undefined {
  let threads: Thread[] = [];
  let found: readonly number[] | undefined;
  const marks = new Uint32Array(program.length);
  let round = 0;
  for (let at = from;;) {
    const point = text.codePointAt(at);
    round++;
    if (found === undefined) {
      const before = threads.length;
      for (const thread of threads) marks[thread.at] = round;
      follow(program, { at: 0, slots: [at] }, at, text, { marks, round, into: threads });
      charge(1 + threads.length - before);
    }
    if (threads.length === 0 && found !== undefined) break;
    const width = point === undefined ? 1 : point > 0xffff ? 2 : 1;
    const next: Thread[] = [];
    round++;
    for (const thread of threads) {
      const instruction = program[thread.at] as Instruction;
      if (instruction.op === "match") {
        // What follows has lower priority.
        found = [...thread.slots];
        break;
      }
      if (instruction.op !== "char" || point === undefined || !instruction.test(point)) continue;
      const moved = { at: thread.at + 1, slots: thread.slots };
      follow(program, moved, at + width, text, { marks, round, into: next });
    }
    charge(1 + threads.length + next.length);
    if (point === undefined) break;
    threads = next;
    at += width;
  }
  return found === undefined ? undefined : present(found, groupCount);
}

/** Adds a thread, and all that it reaches without a character, in order of priority. */
function follow(
  program: readonly Instruction[],
  start: Thread,
  position: number,
  text: string,
  { marks, round, into }: { marks: Uint32Array; round: number; into: Thread[] },
): void {
  const stack = [start];
  for (let thread = stack.pop(); thread !== undefined; thread = stack.pop()) {
    if (marks[thread.at] === round) continue;
    marks[thread.at] = round;
    const instruction = program[thread.at] as Instruction;
    const { slots } = thread;
    switch (instruction.op) {
      case "jump":
        stack.push({ at: instruction.to, slots });
        break;
      case "split":
        stack.push({ at: instruction.second, slots }, { at: instruction.first, slots });
        break;
      case "save": {
        const saved = [...slots];
        saved[instruction.slot] = position;
        stack.push({ at: thread.at + 1, slots: saved });
        break;
      }
      case "place":
        if (isAt(instruction.place, text, position)) stack.push({ at: thread.at + 1, slots });
        break;
      case "match": {
        const saved = [...slots];
        saved[1] = position;
        into.push({ at: thread.at, slots: saved });
        break;
      }
      case "char":
        into.push(thread);
    }
  }
}

function isAt(place: Place, text: string, position: number): boolean {
  switch (place) {
    case "textStart":
      return position === 0;
    case "textEnd":
      return position === text.length;
    case "lineStart":
      return position === 0 || text[position - 1] === "\n";
    case "lineEnd":
      return position === text.length || text[position] === "\n";
    case "word":
    case "noWord": {
      const isEdge = isWordPoint(position > 0 ? text.charCodeAt(position - 1) : undefined) !==
        isWordPoint(position < text.length ? text.charCodeAt(position) : undefined);
      return isEdge === (place === "word");
    }
  }
}

function present(slots: readonly number[], groupCount: number): RegexMatch {
  const groups = Array.from({ length: groupCount }, (_, index) => {
    const [start, end] = [slots[index * 2 + 2], slots[index * 2 + 3]];
    return start === undefined || end === undefined ? undefined : { start, end };
  });
  return { start: slots[0] ?? 0, end: slots[1] ?? 0, groups };
}

/** All matches that do not overlap, at most `limit`. */
export function findAll(
  regex: CompiledRegex,
  text: string,
  limit: number,
  charge: Charge,
): RegexMatch[] {
  const matches: RegexMatch[] = [];
  let from = 0;
  let lastEnd = -1;
  while (from <= text.length && matches.length < limit) {
    const match = regex.find(text, from, charge);
    if (match === undefined) break;
    const isEmpty = match.end === match.start;
    // As Go does: an empty match right after another one is none.
    if (!isEmpty || match.end !== lastEnd) matches.push(match);
    lastEnd = match.end;
    from = isEmpty ? match.end + ((text.codePointAt(match.end) ?? 0) > 0xffff ? 2 : 1) : match.end;
  }
  return matches;
}
