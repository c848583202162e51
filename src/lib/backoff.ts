/** Delays between attempts: growing, with a ceiling, and never the same for two callers. */

export interface BackoffOptions {
  firstMs: number;
  factor: number;
  ceilingMs: number;
}

/**
 * The delay before attempt `attempt` (0 is the first retry), in milliseconds.
 *
 * Half of it is jitter, so that callers that failed together do not return together.
 * `random` is a number from 0 to 1.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: number): number {
  const full = Math.min(options.firstMs * options.factor ** attempt, options.ceilingMs);
  return Math.round(full / 2 + (full / 2) * random);
}
