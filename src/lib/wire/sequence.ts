/**
 * Sequence ids: Twitter snowflakes in decimal, which order the reports of one agent.
 *
 * 41 bits of milliseconds since Twitter's epoch, 10 bits of node (always 1), 12 bits of step.
 */

const EPOCH_MS = 1_288_834_974_657n;
const NODE = 1n;
const STEP_MAX = 4095n;

/** True for a decimal that fits a signed 64-bit integer. */
export function isSequence(text: string): boolean {
  return /^\d{1,19}$/.test(text) && BigInt(text) <= 9_223_372_036_854_775_807n;
}

/**
 * True if `current` is later than `last`; anything is later than nothing.
 *
 * They are compared as numbers, so by time, then by node, then by step. Peers refuse an id of another node;
 * to us it counts by its time.
 */
export function isNewerSequence(current: string, last: string | undefined): boolean {
  return last === undefined || BigInt(current) > BigInt(last);
}

/** The millisecond a sequence id was made at. */
export function sequenceTimeMs(sequence: string): number {
  return Number((BigInt(sequence) >> 22n) + EPOCH_MS);
}

/**
 * Returns a generator of ever greater ids.
 *
 * `floor` is the last id known from an earlier life: a clock that stepped back, or was wrong at
 * the start, must not make new reports look old. `nowMs` is the clock.
 */
export function createSequence(nowMs: () => number, floor?: string): () => string {
  let last = floor === undefined ? 0n : BigInt(floor);
  return () => {
    const fresh = ((BigInt(nowMs()) - EPOCH_MS) << 22n) | (NODE << 12n);
    last = fresh > last ? fresh : next(last);
    return last.toString();
  };
}

function next(id: bigint): bigint {
  const step = id & STEP_MAX;
  if (step < STEP_MAX) return id + 1n;
  return (((id >> 22n) + 1n) << 22n) | (NODE << 12n);
}
