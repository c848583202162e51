/** A loop around something that may fail for a while. */

import { backoffMs, type BackoffOptions } from "./backoff.ts";
import { pause } from "./pause.ts";

export interface KeepTryingOptions {
  backoff: BackoffOptions;
  /** Ends the trying. */
  signal: AbortSignal;
  /** Told of each failure, the first is 0. What it throws ends the trying. */
  failed: (error: unknown, attempt: number) => void;
}

/** Resolves with the first success, or with undefined when the signal ends it. Pauses grow. */
export async function keepTrying<T>(
  run: () => Promise<T>,
  { backoff, signal, failed }: KeepTryingOptions,
): Promise<T | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      return await run();
    } catch (error) {
      failed(error, attempt);
      await pause(backoffMs(attempt, backoff, Math.random()), signal);
    }
  }
  return undefined;
}
