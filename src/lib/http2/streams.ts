/** The streams of a server's connection: which have begun, which are open, and which it takes (RFC 9113 §5.1). */

import { CODE, Http2Error, rstStream, UINT31_MAX } from "./frames.ts";
import { protocolError } from "./frame_rules.ts";
import { createBlockDecoder } from "./hpack.ts";
import { readRequest } from "./request.ts";
import type { Room } from "./room.ts";
import type { Outflow, Sender } from "./sending.ts";
import { createStream, type Http2Stream, type OpenStream } from "./stream.ts";

export interface Streams {
  readonly size: number;
  /** The highest id of a client so far. */
  readonly lastId: number;
  /** Takes a whole header block: it begins a stream, or ends a request as its trailers. */
  takeHeaders(streamId: number, block: Buffer, isEnd: boolean): void;
  /** Undefined for one that is over: frames cross on the way. Throws for one that has not begun. */
  open(streamId: number): OpenStream | undefined;
  /** Resets one for a fault of it, whether it is open or not. */
  refuse(fault: Http2Error): void;
  flows(): Iterable<Outflow>;
  /** Those that begin from now on are not served. */
  seal(): void;
  closeAll(): void;
}

export interface StreamsOptions {
  sender: Sender;
  /** Of the connection. */
  room: Room;
  limits: { windowBytes: number; headerBytesMax: number; streamsMax: number };
  begun(stream: Http2Stream): void;
  ended(): void;
}

/** Makes a connection's streams; there are none yet. */
export function createStreams({ sender, room, limits, begun, ended }: StreamsOptions): Streams {
  const streams = new Map<number, OpenStream>();
  const decode = createBlockDecoder();
  let lastId = 0;
  let servedMax = UINT31_MAX;

  const begin = (streamId: number, block: Buffer, isEnd: boolean) => {
    lastId = streamId;
    const { headerBytesMax, windowBytes } = limits;
    const headers = readRequest(decode, block, { streamId, headerBytesMax });
    if (streamId > servedMax) return;
    if (streams.size >= limits.streamsMax) {
      throw new Http2Error(CODE.refusedStream, "too many streams", streamId);
    }
    const closed = () => {
      streams.delete(streamId);
      ended();
    };
    const stream = createStream(streamId, { sender, headers, windowBytes, room, closed });
    streams.set(streamId, stream);
    begun(stream);
    if (isEnd) stream.requestEnded();
  };

  return {
    get size() {
      return streams.size;
    },
    get lastId() {
      return lastId;
    },
    takeHeaders(streamId, block, isEnd) {
      if (streamId % 2 === 0) throw protocolError(`a client does not open stream ${streamId}`);
      if (streamId > lastId) return begin(streamId, block, isEnd);
      // Trailers, of which gRPC has none in requests. Read all the same, as the next block depends on them.
      decode(block, () => {});
      const open = streams.get(streamId);
      if (open === undefined) return;
      if (!isEnd) throw new Http2Error(CODE.protocolError, "headers within a body", streamId);
      open.requestEnded();
    },
    open(streamId) {
      if (streamId <= lastId && streamId % 2 === 1) return streams.get(streamId);
      throw protocolError(`stream ${streamId} has not begun`);
    },
    refuse({ streamId, code }) {
      const open = streams.get(streamId);
      if (open !== undefined) open.reset(code);
      else sender.control(rstStream(streamId, code));
    },
    *flows() {
      for (const { flow } of streams.values()) yield flow;
    },
    seal() {
      servedMax = lastId;
    },
    closeAll() {
      for (const stream of [...streams.values()]) stream.close();
    },
  };
}
