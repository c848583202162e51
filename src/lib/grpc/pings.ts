/** Pings in both directions: a dead end is noticed, and clients that ping too much are told so. */

export interface PingGuard {
  /** Something was sent, to which clients may well answer with a ping: grpc-go's measure their bandwidth so. */
  forgive(): void;
  /** Counts a ping of the client; true if it was one too many. */
  count(nowMs: number, load: { hasStreams: boolean }): boolean;
}

/** Pings that come too early, after which the next one is too many. */
const STRIKES_MAX = 2;
/** What counts as too early while no call is open, unless that is allowed. */
const IDLE_MIN_MS = 2 * 3600 * 1000;

/** Counts pings as grpc-go does, so that clients tuned to its servers are not surprised (gRFC A8). */
export function createPingGuard(
  { minMs, isIdleAllowed }: { minMs: number; isIdleAllowed: boolean },
): PingGuard {
  let lastMs = -Infinity;
  let strikes = 0;
  let isForgiven = false;
  return {
    forgive() {
      isForgiven = true;
    },
    count(nowMs, { hasStreams }) {
      const sinceMs = nowMs - lastMs;
      lastMs = nowMs;
      if (isForgiven) {
        isForgiven = false;
        strikes = 0;
        return false;
      }
      if (sinceMs < (hasStreams || isIdleAllowed ? minMs : IDLE_MIN_MS)) strikes++;
      return strikes > STRIKES_MAX;
    },
  };
}

/** As much of a connection as pings need; `ping` calls back when the answer has come. */
export interface Pinged {
  readonly isClosed: boolean;
  ping(answered: () => void): unknown;
}

export interface Pings {
  pingMs: number;
  pingTimeoutMs: number;
  /** Runs `turn` so often until what it returns is called; a timer of its own, unless it is given. */
  repeat?: (everyMs: number, turn: () => void) => () => void;
  /** Whether one is worth it now. */
  isDue?: () => boolean;
  /** Called when an answer did not come in time. */
  expired: () => void;
}

/**
 * The end of the time-out, which begins when its timer is heard: if we were held up ourselves, the answer lies there unread until
 * timers have had their turn.
 */
const LAST_LOOK_MS = 250;

/**
 * Pings the other end again and again, and tells when it does not answer in time.
 *
 * It may be gone though nobody said so, and TCP alone takes a quarter of an hour to notice.
 */
export function startPings(
  connection: Pinged,
  { pingMs, pingTimeoutMs, repeat = repeatAlone, isDue = () => true, expired }: Pings,
): Disposable {
  let deadline: Timer | undefined;
  const lastLookMs = Math.min(LAST_LOOK_MS, pingTimeoutMs / 2);
  const leave = repeat(pingMs, () => {
    if (deadline !== undefined || connection.isClosed || !isDue()) return;
    deadline = setTimeout(() => {
      deadline = setTimeout(expired, lastLookMs);
    }, pingTimeoutMs - lastLookMs);
    connection.ping(() => {
      clearTimeout(deadline);
      deadline = undefined;
    });
  });
  return {
    [Symbol.dispose]() {
      leave();
      clearTimeout(deadline);
    },
  };
}

function repeatAlone(everyMs: number, turn: () => void): () => void {
  const timer = setInterval(turn, everyMs);
  return () => clearInterval(timer);
}
