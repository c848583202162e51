/** Turns: any number of shared ones beside each other, or one that is alone. */

export interface Turns {
  /** Waits for all that have begun, and lets no other begin before it has ended. */
  alone<T>(run: () => Promise<T>): Promise<T>;
  /** Waits for those that want to be alone and asked before. */
  together<T>(run: () => Promise<T>): Promise<T>;
}

/** Nobody has a turn at first. Who fails ends a turn like any other. */
export function createTurns(): Turns {
  let lastAlone: Promise<unknown> = Promise.resolve();
  const shared = new Set<Promise<unknown>>();

  return {
    alone(run) {
      const turn = Promise.all([lastAlone, ...shared]).then(run);
      lastAlone = turn.catch(() => {});
      return turn;
    },
    together(run) {
      const turn = lastAlone.then(run);
      const ended = turn.catch(() => {}).then(() => void shared.delete(ended));
      shared.add(ended);
      return turn;
    },
  };
}
