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

/** The same for each of many keys by itself. A key takes memory only while somebody has a turn, or waits for one. */
export interface KeyedTurns {
  alone<T>(key: string, run: () => Promise<T>): Promise<T>;
  together<T>(key: string, run: () => Promise<T>): Promise<T>;
}

/** Nobody has a turn at first, of any key. */
export function createKeyedTurns(): KeyedTurns {
  const kept = new Map<string, { turns: Turns; users: number }>();
  const turn = async <T>(key: string, take: (turns: Turns) => Promise<T>): Promise<T> => {
    const one = kept.get(key) ?? { turns: createTurns(), users: 0 };
    kept.set(key, one);
    one.users++;
    try {
      return await take(one.turns);
    } finally {
      if (--one.users === 0) kept.delete(key);
    }
  };
  return {
    alone: (key, run) => turn(key, (turns) => turns.alone(run)),
    together: (key, run) => turn(key, (turns) => turns.together(run)),
  };
}
