/** Reads a search from left to right, and knows where it is. */

import { badRequest, shown } from "./refusal.ts";

export interface Scanner {
  /** Passes over what matches here, after blanks; the pattern is sticky. Undefined: it does not. */
  take(pattern: RegExp): RegExpExecArray | undefined;
  /** Passes over a keyword, in whatever letters. */
  takeWord(word: string): boolean;
  /** Throws unless nothing is left. */
  expectEnd(expected: string): void;
  /** The refusal of what stands here. */
  unexpected(expected: string): Error;
  /** The refusal of what was taken last. */
  refuse(expected: string): Error;
}

/** `isJsonb`: the search is of the grammar with paths, which has its own words for errors. */
export function createScanner(text: string, isJsonb: boolean): Scanner {
  let at = 0;
  let last = 0;
  const blank = /\s*/y;
  const skip = () => {
    blank.lastIndex = at;
    at += blank.exec(text)?.[0].length ?? 0;
  };
  const refuseAt = (place: number, expected: string) => {
    const found = text.slice(place).match(/^(?:'[^']{0,40}'?|[\w.]{1,40}|[^\w\s']{1,3})/)?.[0];
    const token = found === undefined ? "the end" : `\`${found}\``;
    if (isJsonb) {
      return badRequest(
        `failed to parse the search query: [${place + 1}] error parsing the filter: ` +
          `unexpected token ${token}, expected ${expected}`,
      );
    }
    return badRequest(
      `Failed to parse search query: ${shown(text)}: ` +
        `[${place + 1}] unexpected ${token}, expected ${expected}`,
    );
  };
  const scanner: Scanner = {
    take(pattern) {
      skip();
      pattern.lastIndex = at;
      const found = pattern.exec(text);
      if (found === null) return undefined;
      last = at;
      at = pattern.lastIndex;
      return found;
    },
    takeWord(word) {
      skip();
      const after = text.slice(at, at + word.length + 1);
      const isIt = after.slice(0, word.length).toLowerCase() === word &&
        !/[\w.]/.test(after.slice(word.length));
      if (isIt) {
        last = at;
        at += word.length;
      }
      return isIt;
    },
    expectEnd(expected) {
      skip();
      if (at < text.length) throw refuseAt(at, expected);
    },
    unexpected(expected) {
      skip();
      return refuseAt(at, expected);
    },
    refuse: (expected) => refuseAt(last, expected),
  };
  return scanner;
}
