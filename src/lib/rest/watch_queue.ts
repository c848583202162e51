/** What one watcher is told, who may read as slowly as it likes: what waits is bounded. */

import { type Cursor, encodeCursor } from "../status/cursor.ts";
import { createWaitingChanges } from "../waiting_changes.ts";
import type { WatchEvent } from "./watch_event.ts";

export interface WatchQueueOptions {
  /** Events and bytes that may wait. Beyond, the watcher has to come back with its cursor. */
  waitingMax: number;
  waitingBytesMax: number;
  heartbeatMs: number;
  /** Called once, when the watcher or the queue is gone. */
  ended: () => void;
}

/** An event for the watcher, with the place to come back to once there is one. */
export interface Told<Shown> extends WatchEvent<Shown> {
  cursor: string | undefined;
}

/** Why nothing more comes, and from where to go on. */
export interface WatchEnd {
  error: unknown;
  cursor: string | undefined;
}

export interface WatchQueue<Shown> {
  readonly isClosed: boolean;
  /** Adds an event that brings the watcher to `next`; without one it gets no cursor yet. False: too much waits. */
  push(event: WatchEvent<Shown>, next?: Cursor): boolean;
  /** Everything up to this place has been seen. */
  move(next: Cursor): void;
  /** Tells the cursor once all before it has been told. */
  bookmark(): void;
  /** Resolves when little waits, or nothing; to false if the watcher is gone. */
  waitsFor(most: { events: number; bytes: number }): Promise<boolean>;
  /** Ends it: what waits is dropped, and the watcher is told why and from where to go on. */
  end(error: unknown): void;
  /** Waits for something to tell and takes about so many bytes of it, or the end; undefined after that. */
  take(bytesMax: number): Promise<{ events: Told<Shown>[] } | { end: WatchEnd } | undefined>;
  /** The watcher is gone. */
  close(): void;
}

interface Item<Shown> extends WatchEvent<Shown> {
  hasCursor: boolean;
}

/** Opens a queue at a place of the feed. */
export function createWatchQueue<Shown>(
  start: Cursor,
  options: WatchQueueOptions,
): WatchQueue<Shown> {
  const waiting = createWaitingChanges<Item<Shown>, Cursor>(start, combine);
  let place = start;
  let isClosed = false;
  let end: WatchEnd | undefined;
  let hasListed = false;
  let wakeReader = () => {};
  const wakeWriters: (() => void)[] = [];

  const close = () => {
    if (isClosed) return;
    isClosed = true;
    clearInterval(timer);
    waiting.clear();
    wakeReader();
    release();
    options.ended();
  };
  const release = () => {
    for (const wake of wakeWriters.splice(0)) wake();
  };
  const push: WatchQueue<Shown>["push"] = (event, next) => {
    if (isClosed) return false;
    const { id: key, type, bytes } = event;
    const item = { ...event, hasCursor: next !== undefined };
    place = next ?? place;
    waiting.push({ key, value: item, bytes, isFinal: type === "deleted" }, place);
    wakeReader();
    return waiting.size <= options.waitingMax && waiting.bytes <= options.waitingBytesMax;
  };
  const bookmark = () => {
    hasListed = true;
    push({ id: "", type: "bookmark", bytes: 0 }, place);
  };
  // While something waits there is a sign of life under way.
  const timer = setInterval(() => {
    if (waiting.size > 0) return;
    if (hasListed) bookmark();
    else push({ id: "", type: "bookmark", bytes: 0 });
  }, options.heartbeatMs);
  return {
    get isClosed() {
      return isClosed;
    },
    push,
    move(next) {
      place = next;
      waiting.move(next);
    },
    bookmark,
    async waitsFor(most) {
      while (!isClosed && (waiting.size > most.events || waiting.bytes > most.bytes)) {
        await new Promise<void>((resolve) => wakeWriters.push(resolve));
      }
      return !isClosed;
    },
    end(error) {
      if (isClosed) return;
      end = { error, cursor: hasListed ? encodeCursor(waiting.resume) : undefined };
      close();
    },
    async take(bytesMax) {
      while (waiting.size === 0 && !isClosed) {
        await new Promise<void>((resolve) => wakeReader = resolve);
      }
      const events: Told<Shown>[] = [];
      for (let bytes = 0; bytes < bytesMax;) {
        const next = waiting.shift();
        if (next === undefined) break;
        const { hasCursor, ...event } = next.value;
        events.push({ ...event, cursor: hasCursor ? encodeCursor(next.resume) : undefined });
        bytes += Math.max(event.bytes, 1);
      }
      release();
      if (events.length > 0) return { events };
      const last = end;
      end = undefined;
      return last && { end: last };
    },
    close,
  };
}

/** Whoever was not yet told that it is there learns it now. */
function combine<Shown>(before: Item<Shown>, newer: Item<Shown>): Item<Shown> {
  const isNew = before.type === "added" && newer.type === "modified";
  return isNew ? { ...newer, type: "added" } : newer;
}
