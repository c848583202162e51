/** One stream of a server's connection: a request that comes in, and the answer that goes out (RFC 9113 §5.1). */

import { CODE, Http2Error, rstStream, windowUpdate } from "./frames.ts";
import type { Headers } from "./request.ts";
import { createRoom, type Room } from "./room.ts";
import type { Outflow, Sender } from "./sending.ts";

export interface Http2Stream {
  readonly id: number;
  readonly headers: Headers;
  /** True once it is over in both directions, or reset by one end. */
  readonly isClosed: boolean;
  /** True once `respond` was called. */
  readonly isAnswered: boolean;
  /** What waits for the peer. */
  readonly waitingBytes: number;
  /** To be called when the stream is new, by whoever wants the body; what comes otherwise is dropped. */
  read(reader: BodyReader): void;
  /** So many bytes of the body need no room any more: the peer may send others in their place. */
  taken(bytes: number): void;
  /** The answer's headers, as a block. */
  respond(block: Buffer): void;
  /** A part of the answer's body: these bytes, in this order. */
  write(...parts: Uint8Array[]): void;
  /** Ends the answer, with a block of trailers if there are any. A request that is not over by then is told to stop. */
  end(trailers?: Buffer): void;
  /** Ends both directions at once. */
  reset(code: number): void;
  /** Called whenever something of what waits has left. */
  onProgress(callback: () => void): void;
  /** Called once, when it is closed. */
  onClose(callback: () => void): void;
}

export interface BodyReader {
  /** A piece, which keeps its room until `taken` is called for it. */
  body(piece: Buffer): void;
  ended(): void;
}

/** A stream as its connection sees it. */
export interface OpenStream extends Http2Stream {
  readonly flow: Outflow;
  /** Takes a DATA frame: its length on the wire, and what of it is body. */
  receive(frameBytes: number, body: Buffer): void;
  /** END_STREAM has come. */
  requestEnded(): void;
  /** Is over, whoever ended it; nothing more is sent. */
  close(): void;
}

export interface StreamParts {
  sender: Sender;
  headers: Headers;
  /** What the peer may have on its way. */
  windowBytes: number;
  /** Of the connection. */
  room: Room;
  /** Called once when it is closed. */
  closed(): void;
}

/** Opens a stream. */
export function createStream(
  id: number,
  { sender, headers, windowBytes, room, closed }: StreamParts,
): OpenStream {
  let reader: BodyReader | undefined;
  let isClosed = false;
  let isAnswered = false;
  let isRequestOver = false;
  let isEnded = false;
  /** What has come and is not taken. */
  let heldBytes = 0;
  const closers: (() => void)[] = [];
  let progressed: (() => void) | undefined;

  const close = () => {
    if (isClosed) return;
    isClosed = true;
    sender.drop(flow);
    if (heldBytes > 0) room.free(heldBytes);
    closed();
    for (const callback of closers.splice(0)) callback();
  };
  const reset = (code: number) => {
    if (isClosed) return;
    sender.control(rstStream(id, code));
    close();
  };
  const taken = (bytes: number) => {
    if (isClosed) return;
    heldBytes -= bytes;
    room.free(bytes);
    own.free(bytes);
  };
  const own = createRoom(windowBytes, (increment) => {
    if (!isRequestOver) sender.control(windowUpdate(id, increment));
  });
  const flow = sender.open(id, {
    progressed: () => progressed?.(),
    ended() {
      // Whoever is answered before the end of its request need not send the rest (§8.1).
      if (isRequestOver) close();
      else reset(CODE.noError);
    },
  });

  return {
    id,
    headers,
    flow,
    get isClosed() {
      return isClosed;
    },
    get isAnswered() {
      return isAnswered;
    },
    get waitingBytes() {
      return flow.waitingBytes;
    },
    read(given) {
      reader = given;
    },
    taken,
    respond(block) {
      if (isClosed || isAnswered) return;
      isAnswered = true;
      flow.head = block;
      sender.added(flow, block.length);
    },
    write(...parts) {
      if (isClosed || isEnded) return;
      let bytes = 0;
      for (const part of parts) {
        if (part.length === 0) continue;
        bytes += part.length;
        flow.parts.push(part);
      }
      flow.waitingBytes += bytes;
      sender.added(flow, bytes);
    },
    end(trailers) {
      if (isClosed || isEnded) return;
      isEnded = true;
      flow.isEnding = true;
      flow.tail = trailers;
      sender.added(flow, trailers?.length ?? 0);
    },
    reset,
    onProgress(callback) {
      progressed = callback;
    },
    onClose(callback) {
      if (isClosed) callback();
      else closers.push(callback);
    },
    receive(frameBytes, body) {
      if (isRequestOver) {
        throw new Http2Error(CODE.streamClosed, "a body goes on after its end", id);
      }
      if (!own.spend(frameBytes)) {
        throw new Http2Error(CODE.flowControlError, "a body is larger than its window", id);
      }
      heldBytes += frameBytes;
      const idleBytes = reader === undefined ? frameBytes : frameBytes - body.length;
      if (idleBytes > 0) taken(idleBytes);
      if (body.length > 0) reader?.body(body);
    },
    requestEnded() {
      if (isRequestOver) throw new Http2Error(CODE.streamClosed, "a request ends twice", id);
      isRequestOver = true;
      reader?.ended();
    },
    close,
  };
}
