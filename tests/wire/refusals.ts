/** What hostile input is answered with, and where the chance in it comes from. */

import { MaestroError } from "../../src/lib/errors.ts";

/** What the calls that are refused say. Anything thrown that is no refusal fails the test. */
export function refusals(calls: (() => unknown)[]): (string | undefined)[] {
  return calls.map((call) => {
    try {
      call();
      return undefined;
    } catch (error) {
      if (error instanceof MaestroError && error.code === "invalid_argument") return error.message;
      throw error;
    }
  });
}

/** What the call is refused with, or undefined. */
export function refusal(call: () => unknown): string | undefined {
  return refusals([call])[0];
}

/** Numbers that are the same in every run (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
