/** Sends many events to one consumer, some of them at once: a broker may take 40 ms for each. */

import type { CloudEvent } from "../wire/event.ts";

/** What became of an event: somebody listens, nobody does, it never passes, there is no connection. */
export type Sent = "received" | "nobody" | "refused" | "disconnected";

/** Hands an event to the way to its agent and says what became of it; it never rejects. */
export type Send = (consumerName: string, event: CloudEvent) => Promise<Sent>;

export interface Pipeline {
  /** Starts sending, without waiting for room. */
  push(event: CloudEvent): void;
  /** Resolves when there is room for the next one, to false if it would be in vain. */
  room(): Promise<boolean>;
  /** Both. */
  deliver(event: CloudEvent): Promise<boolean>;
  /** Resolves when all have left, or never will. */
  finish(): Promise<void>;
}

/** Few enough that the events of others come in between. */
const UNDER_WAY_MAX = 32;

/** Starts with nothing under way. */
export function createPipeline(send: Send, consumerName: string): Pipeline {
  const underWay = new Set<Promise<void>>();
  let last: Sent = "received";
  const push = (event: CloudEvent) => {
    const sending = send(consumerName, event).then((sent) => {
      underWay.delete(sending);
      // One that never passes says nothing of the others.
      if (sent !== "refused" && last === "received") last = sent;
    });
    underWay.add(sending);
  };
  const room = async () => {
    while (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    return last === "received";
  };
  return {
    push,
    room,
    deliver(event) {
      push(event);
      return room();
    },
    async finish() {
      await Promise.all(underWay);
    },
  };
}
