/** One subscription: heartbeats, and events that wait while the peer is slow. */

import { type Cursor, encodeCursor } from "../status/cursor.ts";
import { createWaitingChanges } from "../waiting_changes.ts";
import { type CloudEvent, EXT, HEARTBEAT_TYPE } from "../wire/event.ts";
import { encodeEvent } from "../wire/protobuf.ts";
import { STATUS } from "./errors.ts";
import type { ResponseStream } from "./response.ts";
import type { Rounds } from "./rounds.ts";

export interface Subscriber {
  /**
   * Sends an event, or keeps it while the peer is slow. A newer one of the same resource replaces one that
   * waits. False: the stream is gone, or has just been ended since too much waits.
   */
  push(event: CloudEvent, change?: FedChange): boolean;
  /** Everything up to this place has been seen. */
  move(next: Cursor): void;
  readonly isGone: boolean;
  /** True while nothing waits, so that an event would leave at once. */
  readonly isReady: boolean;
  /** Resolves when the peer has caught up, to false if the stream is gone. */
  caughtUp(): Promise<boolean>;
  /** Ends the stream, so that the peer connects again and asks for what it missed. */
  restart(reason: string): void;
}

/** Where an event of the feed leaves a subscriber that keeps a cursor. */
export interface FedChange {
  next: Cursor;
  isDeletion: boolean;
}

export interface SubscriberOptions {
  /** Where a subscriber begins that keeps a cursor: its events and heartbeats then carry it. */
  cursor?: Cursor;
  /** Undefined for none. */
  heartbeats: Heartbeats | undefined;
  connection: symbol;
  /** Events of different resources that may wait. */
  waitingMax: number;
  /** Called whenever the peer has caught up. */
  caughtUp?: () => void;
}

/** Calls back at their pace, with the bytes that all share whose heartbeats carry no cursor. Returns what ends it. */
export type Heartbeats = (beat: (bytes: Uint8Array) => void, connection: symbol) => () => void;

/** Makes the heartbeats of a door; undefined for none. */
export function createHeartbeats(
  rounds: Rounds,
  intervalMs: number | undefined,
): Heartbeats | undefined {
  if (intervalMs === undefined) return undefined;
  let shared: { dueMs: number; bytes: Uint8Array } | undefined;
  return (beat, connection) =>
    rounds.join(intervalMs, (dueMs) => {
      if (shared?.dueMs !== dueMs) shared = { dueMs, bytes: encodeHeartbeat({}) };
      beat(shared.bytes);
    }, connection);
}

function encodeHeartbeat(extensions: CloudEvent["extensions"]): Uint8Array {
  return encodeEvent({ id: crypto.randomUUID(), source: "", type: HEARTBEAT_TYPE, extensions });
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
  const waiting = createWaitingChanges<CloudEvent, Cursor | undefined>(options.cursor);
  /** Under way while something waits. */
  let draining: Promise<void> | undefined;
  stream.start({ "subscription-id": crypto.randomUUID() });

  const leave = options.heartbeats?.((bytes) => {
    // Before all that waits: a heartbeat says that the connection lives, not that it is fast.
    const { resume } = waiting;
    stream.write(resume === undefined ? bytes : encodeHeartbeat(cursorExtension(resume)));
  }, options.connection);
  stream.onClose(() => {
    leave?.();
    waiting.clear();
  });

  const drain = async () => {
    while (!stream.isClosed && (waiting.size > 0 || stream.isFull)) {
      await stream.drained();
      while (!stream.isFull && !stream.isClosed) {
        const next = waiting.shift();
        if (next === undefined) break;
        stream.write(encodeEvent(withCursor(next.value, next.resume)));
      }
    }
  };
  const startDraining = () => {
    // Never rejects: it only waits for the stream, and ends with it.
    draining = drain().then(() => {
      draining = undefined;
      if (stream.isClosed) return;
      if (waiting.size > 0) startDraining();
      else options.caughtUp?.();
    });
  };

  const restart = (reason: string) =>
    stream.end({ code: STATUS.resourceExhausted, message: reason });

  return {
    push(event, change) {
      if (stream.isClosed) return false;
      if (draining === undefined && waiting.size === 0) {
        if (change !== undefined) waiting.move(change.next);
        if (!stream.write(encodeEvent(withCursor(event, waiting.resume)))) startDraining();
        return !stream.isClosed;
      }
      const id = event.extensions[EXT.resourceId];
      const key = typeof id === "string" ? id : event.id;
      waiting.push({
        key,
        value: event,
        bytes: event.data?.length ?? 0,
        isFinal: change?.isDeletion ?? false,
      }, change?.next ?? waiting.place);
      if (waiting.size <= options.waitingMax && waiting.bytes <= WAITING_BYTES_MAX) return true;
      const { resume } = waiting;
      const how = resume === undefined ? "resync" : `resume from ${encodeCursor(resume)}`;
      restart(`${waiting.size} events wait for this subscriber: subscribe again and ${how}`);
      return false;
    },
    move: waiting.move,
    get isGone() {
      return stream.isClosed;
    },
    get isReady() {
      return draining === undefined && waiting.size === 0 && !stream.isFull && !stream.isClosed;
    },
    async caughtUp() {
      // Not for the stream, which may have room long before what waits has left.
      while (draining !== undefined) await draining;
      return !stream.isClosed;
    },
    restart,
  };
}

/** The event is shared by all who are told of it. */
function withCursor(event: CloudEvent, cursor: Cursor | undefined): CloudEvent {
  if (cursor === undefined) return event;
  return { ...event, extensions: { ...event.extensions, ...cursorExtension(cursor) } };
}

function cursorExtension(cursor: Cursor | undefined): Record<string, string> {
  return cursor === undefined ? {} : { [EXT.cursor]: encodeCursor(cursor) };
}
