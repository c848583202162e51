/** Server-sent events for one watcher, who may read as slowly as it likes: what waits is bounded. */

import { type Cursor, encodeCursor } from "../status/cursor.ts";
import { createWaitingChanges } from "../waiting_changes.ts";
import type { WatchEvent } from "./watch_event.ts";

export interface EventStreamOptions {
  /** Events and bytes that may wait. Beyond, the watcher has to come back with its cursor. */
  waitingMax: number;
  waitingBytesMax: number;
  heartbeatMs: number;
  /** Called whenever the watcher is seen to read. */
  alive: () => void;
  /** Called once, when the watcher or the stream is gone. */
  ended: () => void;
}

export interface EventStream {
  readable: ReadableStream<Uint8Array>;
  readonly isClosed: boolean;
  /** Adds an event that brings the watcher to `next`; without one it gets no cursor yet. False: too much waits. */
  push(event: WatchEvent, next?: Cursor): boolean;
  /** Everything up to this place has been seen. */
  move(next: Cursor): void;
  /** Tells the cursor once all before it has been told. */
  bookmark(): void;
  /** Resolves when little waits, or nothing; to false if the stream is gone. */
  waitsFor(most: { events: number; bytes: number }): Promise<boolean>;
  /** Ends it. The last event says why, and from where to go on. */
  end(error: Record<string, unknown>): void;
}

/** What leaves at once. */
const CHUNK_BYTES = 64 * 1024;

interface Item extends WatchEvent {
  hasCursor: boolean;
}

const encoder = new TextEncoder();

/** Opens a stream at a place of the feed. */
export function createEventStream(start: Cursor, options: EventStreamOptions): EventStream {
  const waiting = createWaitingChanges<Item, Cursor>(start, combine);
  let place = start;
  let isClosed = false;
  let hasListed = false;
  let wakeReader = () => {};
  const wakeWriters: (() => void)[] = [];
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;

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
  const pull = async () => {
    options.alive();
    while (waiting.size === 0 && !isClosed) {
      await new Promise<void>((resolve) => wakeReader = resolve);
    }
    let chunk = "";
    while (chunk.length < CHUNK_BYTES) {
      const next = waiting.shift();
      if (next === undefined) break;
      chunk += format(next.value, next.value.hasCursor ? encodeCursor(next.resume) : undefined);
    }
    release();
    if (!isClosed && chunk !== "") controller?.enqueue(encoder.encode(chunk));
  };
  const push = (event: WatchEvent, next?: Cursor) => {
    if (isClosed) return false;
    const { id: key, type, text } = event;
    const item = { ...event, hasCursor: next !== undefined };
    place = next ?? place;
    waiting.push({ key, value: item, bytes: text.length, isFinal: type === "deleted" }, place);
    wakeReader();
    return waiting.size <= options.waitingMax && waiting.bytes <= options.waitingBytesMax;
  };
  const bookmark = () => {
    hasListed = true;
    push({ id: "", type: "bookmark", text: "{}" }, place);
  };
  // While something waits there is a sign of life under way.
  const timer = setInterval(() => {
    if (waiting.size > 0) return;
    if (hasListed) bookmark();
    else push({ id: "", type: "bookmark", text: "{}" });
  }, options.heartbeatMs);
  const readable = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    pull,
    cancel: close,
  }, { highWaterMark: 0 });
  return {
    readable,
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
      const cursor = hasListed ? encodeCursor(waiting.resume) : undefined;
      const text = JSON.stringify({ ...error, ...(cursor !== undefined && { cursor }) });
      controller?.enqueue(encoder.encode(`event: error\ndata: ${text}\n\n`));
      controller?.close();
      close();
    },
  };
}

/** Whoever was not yet told that it is there learns it now. */
function combine(before: Item, newer: Item): Item {
  const isNew = before.type === "added" && newer.type === "modified";
  return isNew ? { ...newer, type: "added" } : newer;
}

function format({ type, text }: WatchEvent, cursor: string | undefined): string {
  return `${cursor === undefined ? "" : `id: ${cursor}\n`}event: ${type}\ndata: ${text}\n\n`;
}
