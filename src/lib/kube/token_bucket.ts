/** Spreads calls over time, so that one client cannot crowd out the others of an API server. */

/** Which callers go first: those that only listen cost little, and everybody else learns from them. */
export type Lane = "watch" | "call";

export interface TokenBucket {
  /**
   * Resolves when it is the caller's turn, in the order of the calls of its lane; throws what the signal aborts with.
   */
  take(signal?: AbortSignal, lane?: Lane): Promise<void>;
  /** Takes the turn if nobody waits and it is there: the way of nearly all calls, which costs nothing. */
  tryTake(): boolean;
  /** Lets nobody pass for a while, and after that no burst: the server has asked for a pause. */
  hold(ms: number): void;
}

/** Lets `burst` callers pass at once, and then `ratePerSecond` a second. */
export function createTokenBucket(
  options: { ratePerSecond: number; burst: number },
  nowMs: () => number = () => performance.now(),
): TokenBucket {
  const { ratePerSecond, burst } = options;
  const lanes: Record<Lane, Set<() => void>> = { watch: new Set(), call: new Set() };
  let tokens = burst;
  let filledAtMs = nowMs();
  let heldUntilMs = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const next = () => {
    for (const lane of [lanes.watch, lanes.call]) {
      for (const pass of lane) return { lane, pass };
    }
    return undefined;
  };

  const fill = (now: number) => {
    // While everybody is held, no tokens come into being.
    const sinceMs = Math.max(filledAtMs, Math.min(heldUntilMs, now));
    tokens = Math.min(burst, tokens + ((now - sinceMs) / 1000) * ratePerSecond);
    filledAtMs = now;
  };

  const serve = () => {
    const now = nowMs();
    fill(now);
    for (let first = next(); first !== undefined; first = next()) {
      const waitMs = Math.max(heldUntilMs - now, ((1 - tokens) / ratePerSecond) * 1000);
      if (waitMs > 0) {
        timer ??= setTimeout(() => {
          timer = undefined;
          serve();
        }, Math.ceil(waitMs));
        return;
      }
      tokens -= 1;
      first.lane.delete(first.pass);
      first.pass();
    }
  };

  return {
    take(signal, lane = "call") {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const pass = () => {
          signal?.removeEventListener("abort", leave);
          resolve();
        };
        const leave = () => {
          lanes[lane].delete(pass);
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", leave, { once: true });
        lanes[lane].add(pass);
        serve();
      });
    },
    tryTake() {
      const now = nowMs();
      fill(now);
      if (tokens < 1 || heldUntilMs > now || next() !== undefined) return false;
      tokens -= 1;
      return true;
    },
    hold(ms) {
      serve();
      heldUntilMs = Math.max(heldUntilMs, nowMs() + ms);
      tokens = Math.min(tokens, 1);
    },
  };
}
