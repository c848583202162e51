/** One change of a resource after the other, where each begins with what the last has stored. */

import { MaestroError } from "../errors.ts";

/** Runs a change when those of the same id that came before have ended, well or not. */
export type InTurn = <T>(id: string, run: () => Promise<T>) => Promise<T>;

/** As long as a request waits at most, each of them takes a few milliseconds. */
const WAITING_MAX = 1_000;

/** Returns a function that gives turns. Whoever finds too many before is refused. */
export function createIdTurns({ waitingMax = WAITING_MAX } = {}): InTurn {
  const queues = new Map<string, { last: Promise<unknown>; waiting: number }>();
  return async (id, run) => {
    const queue = queues.get(id) ?? { last: Promise.resolve(), waiting: 0 };
    if (queue.waiting >= waitingMax) {
      const reason = `Cannot change resource "${id}": ${waitingMax} others are changing it`;
      throw new MaestroError("resource_exhausted", reason);
    }
    queues.set(id, queue);
    queue.waiting++;
    const turn = queue.last.then(run);
    queue.last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      if (--queue.waiting === 0) queues.delete(id);
    }
  };
}
