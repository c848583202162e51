/** Calls back at a time of the clock, however far away it is. */

/** A timer takes no more, 24 days; one of a longer time would be over at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** Calls once it is so late, in milliseconds since 1970, and never before it has returned. The result calls it off. */
export function callAt(timeMs: number, call: () => void): () => void {
  let timer: Timer;
  const wait = () => {
    const leftMs = Math.max(0, timeMs - Date.now());
    timer = setTimeout(() => Date.now() < timeMs ? wait() : call(), Math.min(leftMs, TIMER_MS_MAX));
  };
  wait();
  return () => clearTimeout(timer);
}
