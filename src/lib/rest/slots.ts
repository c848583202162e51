/** So many at once, the others in the order in which they came; who would wait too long is refused. */

import { MaestroError } from "../errors.ts";

export interface Slots {
  /** Resolves to what gives the slot back, which may be called more than once. Throws `resource_exhausted`. */
  take(): Promise<() => void>;
}

export interface SlotLimits {
  /** At once. */
  most: number;
  waitingMost: number;
  waitMs: number;
}

/** Makes slots for what errors call `what`. */
export function createSlots(what: string, { most, waitingMost, waitMs }: SlotLimits): Slots {
  const waiting = new Set<() => void>();
  let taken = 0;
  const begin = () => {
    taken++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      taken--;
      const [next] = waiting;
      if (next === undefined) return;
      waiting.delete(next);
      next();
    };
  };
  const refused = () =>
    new MaestroError("resource_exhausted", `this server has ${most} ${what}, and takes no more`);
  return {
    async take() {
      if (taken < most) return begin();
      if (waiting.size >= waitingMost) throw refused();
      return await new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(wake);
          reject(refused());
        }, waitMs);
        const wake = () => {
          clearTimeout(timer);
          resolve(begin());
        };
        waiting.add(wake);
      });
    },
  };
}
