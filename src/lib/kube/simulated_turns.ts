/**
 * Gives the event loop its turns between calls of a simulated cluster.
 *
 * Its answers are there at once, and a program whose works wait only for them would do one after the other without a look at
 * its sockets: with a thousand works on a busy machine for so long that its server gives it up, because no ping is answered.
 */

/** How long calls may keep the loop. A turn costs microseconds; who waits for a socket waits so much longer. */
const HOLD_MS_MAX = 10;

/** Returns what each call waits for before it begins. */
export function createLoopTurns(): () => Promise<void> {
  let turnedAt = performance.now();
  let turn: Promise<void> | undefined;
  const startTurn = () =>
    new Promise<void>((resolve) => {
      setImmediate(() => {
        turnedAt = performance.now();
        turn = undefined;
        resolve();
      });
    });
  return async () => {
    // Of many that waited for the same turn, the last may need another.
    while (performance.now() - turnedAt > HOLD_MS_MAX) await (turn ??= startTurn());
  };
}
