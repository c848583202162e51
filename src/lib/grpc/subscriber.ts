/** One subscription: heartbeats, and events that wait while the peer is slow. */

import { type CloudEvent, EXT, HEARTBEAT_TYPE } from "../wire/event.ts";
import { encodeEvent } from "../wire/protobuf.ts";
import { STATUS } from "./errors.ts";
import type { ResponseStream } from "./response.ts";

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
  /** Time between heartbeats; undefined for none. */
  heartbeatMs: number | undefined;
  /** Events of different resources that may wait. */
  waitingMax: number;
  /** Called whenever the peer has caught up. */
  caughtUp?: () => void;
}

/** What waits for one peer, in bytes of data. Beyond it starting anew is cheaper than catching up. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

/** Resolves to true when the first of them has caught up, and to false when all are gone. */
export function anyCaughtUp(subscribers: Iterable<Subscriber>): Promise<boolean> {
  const caughtUp = [...subscribers].map(async (one) => {
    if (!await one.caughtUp()) throw new Error("gone");
    return true;
  });
  return Promise.any(caughtUp).catch(() => false);
}

/** Sends the headers that clients wait for, and starts the heartbeats. */
export function createSubscriber(stream: ResponseStream, options: SubscriberOptions): Subscriber {
  const waiting = new Map<string, CloudEvent>();
  let waitingBytes = 0;
  let isDraining = false;
  stream.start({ "subscription-id": crypto.randomUUID() });

  const beat = () => {
    // Before all that waits: a heartbeat says that the connection lives, not that it is fast.
    stream.write(encodeEvent({
      id: crypto.randomUUID(),
      source: "",
      type: HEARTBEAT_TYPE,
      extensions: {},
    }));
  };
  const { heartbeatMs } = options;
  const timer = heartbeatMs === undefined ? undefined : setInterval(beat, heartbeatMs);
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
        waitingBytes -= bytesOf(event);
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
      const key = typeof id === "string" ? id : event.id;
      waitingBytes += bytesOf(event) - bytesOf(waiting.get(key));
      waiting.set(key, event);
      if (waiting.size <= options.waitingMax && waitingBytes <= WAITING_BYTES_MAX) return true;
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

function bytesOf(event: CloudEvent | undefined): number {
  return event?.data?.length ?? 0;
}
