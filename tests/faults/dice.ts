/** Chance that a seed repeats. */

export interface Dice {
  /** A number from 0 up to, but not including, 1. */
  next(): number;
  /** An integer between both, which are included. */
  between(low: number, high: number): number;
  /** True as often as the share says. */
  happens(share: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** Dice of their own, so that one part may roll more often without changing another's luck. */
  fork(name: string): Dice;
}

/** Dice by the generator "mulberry32". */
export function rollDice(seed: number): Dice {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    happens: (share) => next() < share,
    pick: <T>(from: readonly T[]) => from[between(0, from.length - 1)] as T,
    fork: (name) => rollDice(Number(BigInt(Bun.hash(`${seed} ${name}`)) & 0xffffffffn)),
  };
}
