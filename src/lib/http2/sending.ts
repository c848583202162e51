/**
 * What one end of a connection says: whatever is due in a turn of the event loop leaves in one write, within the windows of the
 * peer (RFC 9113 §5.2), and each stream has its turn.
 *
 * Frames about the connection go first. What streams have to say stays with them while the socket is full or a window is
 * closed, so that whoever writes can see it and wait.
 */

import {
  BODY_BYTES_MAX,
  CODE,
  FLAG,
  FRAME,
  frame,
  HEAD_BYTES,
  headersFrames,
  Http2Error,
  INITIAL_WINDOW_BYTES,
  UINT31_MAX,
  writeHead,
} from "./frames.ts";
import { EMPTY_TABLE, TABLE_BYTES_MAX } from "./hpack.ts";

/** What one stream has to say. */
export interface Outflow {
  /** 0 until its turn to begin has come. */
  id: number;
  /** What its peer takes; below zero after the peer has made its windows smaller (§6.9.2). */
  window: number;
  /** A header block that goes before the body. */
  head: Buffer | undefined;
  /** The body that waits. */
  parts: Uint8Array[];
  /** What of the first part has left. */
  offset: number;
  waitingBytes: number;
  isEnding: boolean;
  /** A header block that goes after the body. */
  tail: Buffer | undefined;
  /** Some of the body has left. */
  progressed(): void;
  /** All has left, END_STREAM with it. */
  ended(): void;
}

export interface Sender {
  /** Says something about the connection, or resets a stream. */
  control(bytes: Buffer): void;
  open(id: number, events: Pick<Outflow, "progressed" | "ended">): Outflow;
  /** To be called after something was added to it: so many bytes. */
  added(flow: Outflow, bytes: number): void;
  /** Nothing more of it is sent. */
  drop(flow: Outflow): void;
  /** A WINDOW_UPDATE of the peer, for one stream or, without it, for the connection. */
  widen(flow: Outflow | undefined, increment: number): void;
  /** SETTINGS_INITIAL_WINDOW_SIZE of the peer: what it changes, it changes for these as well. */
  resize(initialWindow: number, open: Iterable<Outflow>): void;
  /** SETTINGS_HEADER_TABLE_SIZE of the peer. */
  tableChanged(bytesMax: number): void;
  /** The socket takes more. */
  drained(): void;
  /** Writes what is due now. */
  flush(): void;
  /** What of bodies has been written, in all. */
  readonly bodyBytes: number;
}

/** More than that does not wait for the end of the turn, and leaves in several writes. */
const WRITE_BYTES_MAX = 128 * 1024;
/** Frames about the connection that wait for a peer which reads nothing, but asks and asks. */
const CONTROL_BYTES_MAX = 64 * 1024;

/**
 * `write` returns whether more is welcome. `overwhelmed` is called when the peer asks and asks, and reads nothing. Throws where
 * the peer breaks the rules of windows.
 */
export function createSender(
  write: (bytes: Uint8Array) => boolean,
  overwhelmed: () => void,
): Sender {
  let initialWindow = INITIAL_WINDOW_BYTES;
  let window = INITIAL_WINDOW_BYTES;
  /** In the order of their turns. */
  const ready = new Set<Outflow>();
  /** Those that wait for the window of the connection alone. */
  const starved = new Set<Outflow>();
  let due: Uint8Array[] = [];
  let dueBytes = 0;
  let addedBytes = 0;
  let bodyBytes = 0;
  let isScheduled = false;
  let isFull = false;
  let isTableNew = false;

  const push = (bytes: Uint8Array) => {
    due.push(bytes);
    dueBytes += bytes.length;
  };
  const pushHeaders = (flow: Outflow, block: Buffer, flags: number) => {
    push(headersFrames(flow.id, isTableNew ? Buffer.concat([EMPTY_TABLE, block]) : block, flags));
    isTableNew = false;
  };
  const pushBody = (flow: Outflow, size: number) => {
    const isLast = size === flow.waitingBytes && flow.isEnding && flow.tail === undefined;
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    writeHead(head, 0, [size, FRAME.data, isLast ? FLAG.endStream : 0, flow.id]);
    push(head);
    for (let left = size; left > 0;) {
      const part = flow.parts[0] as Uint8Array;
      const end = Math.min(part.length, flow.offset + left);
      push(flow.offset === 0 && end === part.length ? part : part.subarray(flow.offset, end));
      left -= end - flow.offset;
      flow.offset = end === part.length ? 0 : end;
      if (end === part.length) flow.parts.shift();
    }
    flow.waitingBytes -= size;
    flow.window -= size;
    window -= size;
    bodyBytes += size;
    if (!isLast) return flow.progressed();
    flow.isEnding = false;
    flow.ended();
  };
  /** Lets one stream say a frame of its body, and what is around it. */
  const serve = (flow: Outflow) => {
    ready.delete(flow);
    if (flow.head !== undefined) {
      const block = flow.head;
      flow.head = undefined;
      const isAlone = flow.isEnding && flow.tail === undefined && flow.waitingBytes === 0;
      pushHeaders(flow, block, isAlone ? FLAG.endStream : 0);
      if (isAlone) {
        flow.isEnding = false;
        return flow.ended();
      }
    }
    const size = Math.min(flow.waitingBytes, BODY_BYTES_MAX, flow.window, window);
    if (size > 0) pushBody(flow, size);
    if (flow.waitingBytes > 0) {
      if (flow.window > 0) (window > 0 ? ready : starved).add(flow);
    } else if (flow.isEnding) end(flow);
  };
  const end = (flow: Outflow) => {
    if (flow.tail !== undefined) pushHeaders(flow, flow.tail, FLAG.endStream);
    // All of the body had left before it was known to be all.
    else push(frame(FRAME.data, FLAG.endStream, flow.id));
    flow.tail = undefined;
    flow.isEnding = false;
    flow.ended();
  };
  const flush = () => {
    addedBytes = 0;
    while (!isFull) {
      while (dueBytes < WRITE_BYTES_MAX) {
        const [next] = ready;
        if (next === undefined) break;
        serve(next);
      }
      if (due.length === 0) return;
      const [first] = due;
      const bytes = due.length === 1 && first ? first : Buffer.concat(due, dueBytes);
      due = [];
      dueBytes = 0;
      isFull = !write(bytes);
    }
  };
  const schedule = () => {
    if (isScheduled || isFull) return;
    isScheduled = true;
    // As many as there are answers in this turn: promises and ticks come before it, reading from sockets after it.
    setImmediate(() => {
      isScheduled = false;
      flush();
    });
  };
  const offer = (flow: Outflow) => {
    if (flow.id === 0) return;
    const hasWork = flow.head !== undefined || flow.isEnding || flow.waitingBytes > 0;
    if (hasWork && !starved.has(flow)) ready.add(flow);
  };

  return {
    control(bytes) {
      push(bytes);
      if (isFull && dueBytes > CONTROL_BYTES_MAX) overwhelmed();
      else schedule();
    },
    open: (id, { progressed, ended }) => ({
      id,
      window: initialWindow,
      head: undefined,
      parts: [],
      offset: 0,
      waitingBytes: 0,
      isEnding: false,
      tail: undefined,
      progressed,
      ended,
    }),
    added(flow, bytes) {
      offer(flow);
      addedBytes += bytes;
      if (addedBytes > WRITE_BYTES_MAX) flush();
      else schedule();
    },
    drop(flow) {
      ready.delete(flow);
      starved.delete(flow);
      flow.parts = [];
      flow.waitingBytes = 0;
    },
    widen(flow, increment) {
      const widened = (flow?.window ?? window) + increment;
      if (widened > UINT31_MAX) {
        throw new Http2Error(CODE.flowControlError, "a window is too large", flow?.id);
      }
      if (flow !== undefined) {
        flow.window = widened;
        offer(flow);
      } else {
        window = widened;
        for (const waiting of starved) ready.add(waiting);
        starved.clear();
      }
      if (ready.size > 0) schedule();
    },
    resize(wanted, open) {
      const change = wanted - initialWindow;
      initialWindow = wanted;
      for (const flow of open) {
        flow.window += change;
        if (flow.window > UINT31_MAX) {
          throw new Http2Error(CODE.flowControlError, "a window is too large");
        }
        offer(flow);
      }
      if (ready.size > 0) schedule();
    },
    tableChanged(bytesMax) {
      if (bytesMax < TABLE_BYTES_MAX) isTableNew = true;
    },
    drained() {
      isFull = false;
      flush();
    },
    flush,
    get bodyBytes() {
      return bodyBytes;
    },
  };
}
