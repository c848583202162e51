/** One subscription: heartbeats, and events that wait while the peer is slow. */

import { type CloudEvent, EXT, HEARTBEAT_TYPE } from "../wire/event.ts";
import { encodeEvent } from "../wire/protobuf.ts";
import { STATUS } from "./errors.ts";
import type { ResponseStream } from "./server.ts";

export interface Subscriber {
  /**
   * Sends an event, or keeps it while the peer is slow. A newer one of the same resource replaces one that
   * waits. False: the stream is gone, or has just been ended since too much waits.
   */
  push(event: CloudEvent): boolean;
  /** True while nothing waits, so that an event would leave at once. */
  readonly isReady: boolean;
  /** Resolves when the peer has caught up, to false if the stream is gone. */
  caughtUp(): Promise<boolean>;
  /** Ends the stream, so that the peer connects again and asks for what it missed. */
  restart(reason: string): void;
}

export interface SubscriberOptions {
  heartbeatMs: number;
  /** Events of different resources that may wait. */
  waitingMax: number;
  /** Called whenever the peer has caught up. */
  caughtUp?: () => void;
}

/** Sends the headers that clients wait for, and starts the heartbeats. */
export function createSubscriber(stream: ResponseStream, options: SubscriberOptions): Subscriber {
  const waiting = new Map<string, CloudEvent>();
  let isDraining = false;
  stream.start({ "subscription-id": crypto.randomUUID() });

  const timer = setInterval(() => {
    // Before all that waits: a heartbeat says that the connection lives, not that it is fast.
    stream.write(encodeEvent({
      id: crypto.randomUUID(),
      source: "",
      type: HEARTBEAT_TYPE,
      extensions: {},
    }));
  }, options.heartbeatMs);
  stream.onClose(() => {
    clearInterval(timer);
    waiting.clear();
  });

  const drain = async () => {
    isDraining = true;
    while (!stream.isClosed && (waiting.size > 0 || stream.isFull)) {
      await stream.drained();
      for (const [key, event] of waiting) {
        if (stream.isFull || stream.isClosed) break;
        waiting.delete(key);
        stream.write(encodeEvent(event));
      }
    }
    isDraining = false;
    if (!stream.isClosed) options.caughtUp?.();
  };

  const restart = (reason: string) =>
    stream.end({ code: STATUS.resourceExhausted, message: reason });

  return {
    push(event) {
      if (stream.isClosed) return false;
      if (!isDraining && waiting.size === 0) {
        // Never rejects: it only waits for the stream, and ends with it.
        if (!stream.write(encodeEvent(event))) void drain();
        return !stream.isClosed;
      }
      const id = event.extensions[EXT.resourceId];
      waiting.set(typeof id === "string" ? id : event.id, event);
      if (waiting.size <= options.waitingMax) return true;
      restart(`${waiting.size} events wait for this subscriber: subscribe again and resync`);
      return false;
    },
    get isReady() {
      return !isDraining && waiting.size === 0 && !stream.isFull && !stream.isClosed;
    },
    async caughtUp() {
      while (!stream.isClosed && (waiting.size > 0 || stream.isFull)) await stream.drained();
      return !stream.isClosed;
    },
    restart,
  };
}
