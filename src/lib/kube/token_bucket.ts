/** Spreads calls over time, so that one client cannot crowd out the others of an API server. */

export interface TokenBucket {
  /** Resolves when it is the caller's turn, in the order of the calls; throws what the signal aborts with. */
  take(signal?: AbortSignal): Promise<void>;
}

/** Lets `burst` callers pass at once, and then `ratePerSecond` a second. */
export function createTokenBucket(
  options: { ratePerSecond: number; burst: number },
  nowMs: () => number = () => performance.now(),
): TokenBucket {
  const { ratePerSecond, burst } = options;
  let tokens = burst;
  let filledAtMs = nowMs();
  return {
    async take(signal) {
      const now = nowMs();
      tokens = Math.min(burst, tokens + ((now - filledAtMs) / 1000) * ratePerSecond);
      filledAtMs = now;
      // Below zero are those who wait already: each has a token that comes into being later.
      tokens -= 1;
      if (tokens >= 0) return;
      await pause((-tokens / ratePerSecond) * 1000, signal);
    },
  };
}

/** Waits, unless the signal aborts: then it throws the signal's reason. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    function end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
  });
}
