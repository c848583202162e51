/**
 * How much of one consumer is on its way.
 *
 * A broker takes all that it is given at once, and drops without a word what its queue for a slow agent cannot hold:
 * mosquitto's holds a thousand. So a consumer gets more only when it has answered some of what it has, or had
 * time to take it: its report may come to another server, or never, if it has nothing new to say.
 */

export interface Pace {
  /** Notes that a resource has been sent to its consumer. */
  sent(consumerName: string, resourceId: string): void;
  /** Notes a report of it. */
  reported(consumerName: string, resourceId: string): void;
  /** True while as much is on its way as an agent surely takes. */
  isFull(consumerName: string): boolean;
  /** Resolves when it is not, or the signal ends the waiting. */
  room(consumerName: string, signal: AbortSignal): Promise<void>;
}

/** A turn of the publisher comes on top, and both together stay far below a thousand. */
const UNDER_WAY_MAX = 250;
/** An agent takes an event into memory in a fraction of this. */
const TAKEN_MS = 2_000;
const LOOK_MS = 100;

/** Starts with nothing under way. `drained` is called when a consumer that was full can take more. */
export function createPace(drained: (consumerName: string) => void): Pace {
  /** Of each consumer the resources under way, the longest first, with the time of their sending. */
  const underWay = new Map<string, Map<string, number>>();
  const full = new Set<string>();
  const waiting = new Map<string, (() => void)[]>();

  const isFull = (consumerName: string): boolean => {
    const sent = underWay.get(consumerName);
    if (sent === undefined) return false;
    const taken = performance.now() - TAKEN_MS;
    for (const [resourceId, sentAt] of sent) {
      if (sentAt > taken) break;
      sent.delete(resourceId);
    }
    if (sent.size === 0) underWay.delete(consumerName);
    const isFullNow = sent.size >= UNDER_WAY_MAX;
    if (isFullNow) full.add(consumerName);
    else if (full.delete(consumerName)) drained(consumerName);
    return isFullNow;
  };

  return {
    sent(consumerName, resourceId) {
      const sent = underWay.get(consumerName) ?? new Map<string, number>();
      sent.delete(resourceId);
      underWay.set(consumerName, sent.set(resourceId, performance.now()));
    },
    reported(consumerName, resourceId) {
      const sent = underWay.get(consumerName);
      if (sent?.delete(resourceId) !== true) return;
      if (sent.size === 0) underWay.delete(consumerName);
      // With half of it free, a turn of the publisher is worth its statement.
      if (sent.size > UNDER_WAY_MAX / 2) return;
      for (const resolve of waiting.get(consumerName) ?? []) resolve();
      waiting.delete(consumerName);
      if (full.delete(consumerName)) drained(consumerName);
    },
    isFull,
    async room(consumerName, signal) {
      while (isFull(consumerName) && !signal.aborted) {
        const drained = new Promise<void>((resolve) => {
          waiting.set(consumerName, [...waiting.get(consumerName) ?? [], resolve]);
        });
        await Promise.race([drained, Bun.sleep(LOOK_MS)]);
      }
    },
  };
}
