/** One stream of a connection: a request in one direction, its answer in the other (RFC 9113 §5.1). */

import { CODE, Http2Error, rstStream, windowUpdate } from "./frames.ts";
import type { Headers } from "./fields.ts";
import { createRoom, type Room } from "./room.ts";
import type { Outflow, Sender } from "./sending.ts";

export interface Http2Stream {
  /** 0 while a request of ours waits for its turn. */
  readonly id: number;
  /** Of the request that a client has begun. */
  readonly headers: Headers;
  /** True once it is over in both directions, or reset by one end. */
  readonly isClosed: boolean;
  /** True once `start` was called. */
  readonly isStarted: boolean;
  /** What waits for the peer. */
  readonly waitingBytes: number;
  /** To be called when the stream is new, by whoever wants to hear the peer; what comes otherwise is dropped. */
  read(reader: StreamReader): void;
  /** So many bytes of the body need no room any more: the peer may send others in their place. */
  taken(bytes: number): void;
  /** The headers of what we say, as a block. */
  start(block: Buffer): void;
  /** A part of the body: these bytes, in this order. */
  write(...parts: Uint8Array[]): void;
  /** Ends what we say, with a block of trailers if there are any. A request that is not over when it is answered is told to stop. */
  end(trailers?: Buffer): void;
  /** Ends both directions at once. */
  reset(code: number): void;
  /** Called whenever something of what waits has left. */
  onProgress(callback: () => void): void;
  /** Called once, when it is closed. */
  onClose(callback: (end: StreamEnd) => void): void;
}

export interface StreamReader {
  /** The headers of an answer, once; those of a request come with its stream. */
  head?(headers: Headers, isEnd: boolean): void;
  /** A piece, which keeps its room until `taken` is called for it. */
  body(piece: Buffer): void;
  /** With the trailers of an answer, if it has any. */
  ended(trailers?: Headers): void;
}

/** Why a stream is closed: the peer has reset it, or made a fault. Neither, if it is simply over, or all of its connection is. */
export interface StreamEnd {
  resetCode?: number;
  fault?: Http2Error;
}

/** A stream as its connection sees it. */
export interface OpenStream extends Http2Stream {
  id: number;
  readonly flow: Outflow;
  /** Gives a request of ours its id: its turn has come. */
  begin(id: number): void;
  /** Whether a body may come. */
  hasHead: boolean;
  /** The headers of an answer have come. */
  takeHead(headers: Headers, isEnd: boolean): void;
  /** Takes a DATA frame: its length on the wire, and what of it is body. */
  receive(frameBytes: number, body: Buffer): void;
  /** END_STREAM has come. */
  peerEnded(trailers?: Headers): void;
  reset(code: number, end?: StreamEnd): void;
  /** Is over, whoever ended it; nothing more is sent. */
  close(end?: StreamEnd): void;
}

export interface StreamParts {
  id: number;
  /** Of a request of the peer's; without them we ask, and the peer answers. */
  headers?: Headers;
  sender: Sender;
  /** What the peer may have on its way. */
  windowBytes: number;
  /** Of the connection, if what is not taken fills that as well. */
  room?: Room;
  /** Called once when it is closed. */
  closed(): void;
}

const NO_HEADERS: Headers = new Map();

/** Opens a stream. */
export function createStream(
  { id, headers, sender, windowBytes, room, closed }: StreamParts,
): OpenStream {
  const isOurs = headers === undefined;
  let reader: StreamReader | undefined;
  let isClosed = false;
  let isStarted = false;
  let isPeerOver = false;
  let isEnded = false;
  let hasLeft = false;
  /** What has come and is not taken. */
  let heldBytes = 0;
  const closers: ((end: StreamEnd) => void)[] = [];
  let progressed: (() => void) | undefined;

  const close = (end: StreamEnd = {}) => {
    if (isClosed) return;
    isClosed = true;
    sender.drop(flow);
    if (heldBytes > 0) room?.free(heldBytes);
    closed();
    for (const callback of closers.splice(0)) callback(end);
  };
  const reset = (code: number, end?: StreamEnd) => {
    if (isClosed) return;
    // The peer knows nothing of a request that has not left, and its id is skipped.
    const isKnown = !isOurs || (isStarted && flow.head === undefined);
    if (isKnown) sender.control(rstStream(flow.id, code));
    close(end);
  };
  const taken = (bytes: number) => {
    if (isClosed) return;
    heldBytes -= bytes;
    room?.free(bytes);
    own.free(bytes);
  };
  const own = createRoom(windowBytes, (increment) => {
    if (!isPeerOver) sender.control(windowUpdate(flow.id, increment));
  });
  /** Whoever is answered before the end of its request need not send the rest (§8.1). */
  const answerOver = () => {
    if (isOurs ? hasLeft : isPeerOver) close();
    else reset(isOurs ? CODE.cancel : CODE.noError);
  };
  const flow = sender.open(id, {
    progressed: () => progressed?.(),
    ended() {
      hasLeft = true;
      if (!isOurs) answerOver();
    },
  });

  const stream: OpenStream = {
    id,
    flow,
    headers: headers ?? NO_HEADERS,
    hasHead: !isOurs,
    get isClosed() {
      return isClosed;
    },
    get isStarted() {
      return isStarted;
    },
    get waitingBytes() {
      return flow.waitingBytes;
    },
    read(given) {
      reader = given;
    },
    taken,
    start(block) {
      if (isClosed || isStarted) return;
      isStarted = true;
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
      if (isClosed) callback({});
      else closers.push(callback);
    },
    begin(given) {
      stream.id = given;
      flow.id = given;
      sender.added(flow, 0);
    },
    takeHead(headers, isEnd) {
      stream.hasHead = true;
      reader?.head?.(headers, isEnd);
    },
    receive(frameBytes, body) {
      // Also of a frame that is a fault, after which it is given back with the rest.
      heldBytes += frameBytes;
      if (isPeerOver) {
        throw new Http2Error(CODE.streamClosed, "a body goes on after its end", flow.id);
      }
      if (!stream.hasHead) {
        throw new Http2Error(CODE.protocolError, "a body before its headers", flow.id);
      }
      if (!own.spend(frameBytes)) {
        throw new Http2Error(CODE.flowControlError, "a body is larger than its window", flow.id);
      }
      const idleBytes = reader === undefined ? frameBytes : frameBytes - body.length;
      if (idleBytes > 0) taken(idleBytes);
      if (body.length > 0) reader?.body(body);
    },
    peerEnded(trailers) {
      if (isPeerOver) throw new Http2Error(CODE.streamClosed, "a stream ends twice", flow.id);
      isPeerOver = true;
      reader?.ended(trailers);
      if (isOurs) answerOver();
    },
    close,
  };
  return stream;
}
