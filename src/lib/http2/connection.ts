/**
 * The server's end of one HTTP/2 connection (RFC 9113).
 *
 * A fault of the peer ends its stream or the connection, in the words of the RFC, and what was written before leaves first.
 * Whatever a peer can have us do or keep has a limit here.
 */

import { createBudget } from "./budget.ts";
import {
  CODE,
  createFrameReader,
  FLAG,
  FRAME,
  frame,
  goaway,
  Http2Error,
  PREFACE,
  rstStream,
  UINT31_MAX,
  windowUpdate,
  withoutPadding,
} from "./frames.ts";
import { type BlockAssembly, createBlockAssembly } from "./header_blocks.ts";
import { createBlockDecoder } from "./hpack.ts";
import { readRequest } from "./request.ts";
import { createSender } from "./sending.ts";
import { readInitialWindow, settingsFrame } from "./settings.ts";
import { createStream, type Http2Stream, type OpenStream } from "./stream.ts";

/** What a connection needs of a socket. */
export interface Transport {
  /** Returns whether more is welcome; `drained` of the connection is to be called when it is again. */
  write(bytes: Uint8Array): boolean;
  /** Closes once everything has been written, and at some time in any case. */
  end(): void;
}

export interface ConnectionLimits {
  /** What a client may have on its way, on one stream and on all together. */
  windowBytes: number;
  /** Headers of a request, by the count of §6.5.2 and as a block. */
  headerBytesMax: number;
  /** Streams that are open at once. */
  streamsMax: number;
  /** Time for the preface and the first settings, and to acknowledge ours. */
  greetingMs: number;
}

/** What happens to a connection. */
export interface ConnectionEvents {
  /** A request has begun; its body comes after the call. */
  stream(stream: Http2Stream): void;
  /** A PING has come, and is answered. */
  pinged(): void;
  /** It ends for this reason; `closed` follows. */
  failed(error: Error): void;
  closed(): void;
}

export interface Http2Connection {
  readonly isClosed: boolean;
  /** What of bodies has been sent, in all. */
  readonly bodyBytes: number;
  /** Calls back when the client has answered. */
  ping(answered: () => void): void;
  /** Says that every stream which is on its way is still served, but no other should be begun here. */
  sayLeaving(words: string): void;
  /** Takes no new stream, and closes once those that are open have ended. */
  close(): void;
  /** Ends all streams and closes. What was written leaves. */
  destroy(code: number, words: string): void;
  /** For the owner of the socket. */
  received(piece: Buffer): void;
  drained(): void;
  /** The socket is closed. */
  lost(): void;
}

/** Resets are nearly free for a client, and the work that they end is not (CVE-2023-44487). */
const RESETS = { atOnce: 1_000, perSecond: 33 };
/** Frames that ask for an answer or carry nothing: SETTINGS, PING, PRIORITY, empty DATA, and what nobody knows. */
const IDLE_FRAMES = { atOnce: 10_000, perSecond: 1_000 };
const PING_BYTES = 8;
const WINDOW_BYTES = 65_535;

/** Begins a connection: our settings are the first that is said. `own` says what its owner wants to hear. */
export function openHttp2Connection(
  transport: Transport,
  limits: ConnectionLimits,
  own: (connection: Http2Connection) => ConnectionEvents,
): Http2Connection {
  const { windowBytes } = limits;
  const streams = new Map<number, OpenStream>();
  const decode = createBlockDecoder();
  const resets = createBudget(RESETS);
  const idleFrames = createBudget(IDLE_FRAMES);
  const pings = new Map<string, () => void>();
  let pingCount = 0;
  let lastStreamId = 0;
  /** Streams above it are not served any more. */
  let servedMax = UINT31_MAX;
  let window = windowBytes;
  /** What may be sent again, and has not been said. */
  let freeBytes = 0;
  let hasSettings = false;
  let isClosed = false;
  let isClosing = false;

  const sender = createSender(
    (bytes) => transport.write(bytes),
    () => fail(new Http2Error(CODE.enhanceYourCalm, "the peer reads nothing of what it asks for")),
  );

  const over = () => {
    if (isClosed) return;
    isClosed = true;
    clearTimeout(greeting);
    for (const stream of [...streams.values()]) stream.close();
    pings.clear();
    events.closed();
  };
  const destroy = (code: number, words: string) => {
    if (isClosed) return;
    sender.flush();
    over();
    sender.control(goaway(lastStreamId, code, words));
    sender.flush();
    transport.end();
  };
  const fail = (error: Error) => {
    if (isClosed) return;
    events.failed(error);
    destroy(error instanceof Http2Error ? error.code : CODE.internalError, error.message);
  };
  const greeting = setTimeout(
    () => fail(new Http2Error(CODE.settingsTimeout, "the settings were not acknowledged in time")),
    limits.greetingMs,
  );
  const closeWhenIdle = () => {
    if (!isClosing || streams.size > 0 || isClosed) return;
    sender.flush();
    over();
    transport.end();
  };
  const spendIdle = () => {
    if (idleFrames.spend(performance.now())) return;
    throw new Http2Error(CODE.enhanceYourCalm, "too many frames that carry nothing");
  };
  const isIdle = (streamId: number) => streamId > lastStreamId || streamId % 2 === 0;
  /** A stream that is open. Those that were are nobody's fault: frames cross on the way. */
  const openOf = (streamId: number): OpenStream | undefined => {
    if (isIdle(streamId)) throw broken(`stream ${streamId} has not begun`);
    return streams.get(streamId);
  };

  const credit = (bytes: number) => {
    freeBytes += bytes;
    if (freeBytes < windowBytes / 2 || isClosed) return;
    sender.control(windowUpdate(0, freeBytes));
    window += freeBytes;
    freeBytes = 0;
  };
  const begin = (streamId: number, block: Buffer, isEnd: boolean) => {
    if (streamId % 2 === 0) throw broken(`a client does not open stream ${streamId}`);
    const open = streams.get(streamId);
    if (open !== undefined || streamId <= lastStreamId) {
      // Trailers, of which gRPC has none in requests; or those of a stream that has ended meanwhile.
      decode(block, () => {});
      if (open === undefined) return;
      if (!isEnd) throw new Http2Error(CODE.protocolError, "headers within a body", streamId);
      return open.requestEnded();
    }
    lastStreamId = streamId;
    const { headerBytesMax } = limits;
    const headers = readRequest(decode, block, { streamId, headerBytesMax });
    if (streamId > servedMax) return;
    if (streams.size >= limits.streamsMax) {
      throw new Http2Error(CODE.refusedStream, "too many streams", streamId);
    }
    const closed = () => {
      streams.delete(streamId);
      if (isClosing) queueMicrotask(closeWhenIdle);
    };
    const stream = createStream(streamId, { sender, headers, windowBytes, credit, closed });
    streams.set(streamId, stream);
    events.stream(stream);
    if (isEnd) stream.requestEnded();
  };
  const blocks: BlockAssembly = createBlockAssembly(begin, limits.headerBytesMax);

  const takeBody = (flags: number, streamId: number, body: Buffer) => {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (body.length === 0 && !isEnd) spendIdle();
    window -= body.length;
    if (window < 0) throw new Http2Error(CODE.flowControlError, "the connection's window is full");
    const content = withoutPadding(flags, body);
    const stream = openOf(streamId);
    if (stream === undefined) return credit(body.length);
    stream.receive(body.length, content);
    if (isEnd) stream.requestEnded();
  };
  const takeSettings = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) {
      if (body.length > 0) throw wrongSize("SETTINGS");
      return clearTimeout(greeting);
    }
    spendIdle();
    hasSettings = true;
    const initialWindow = readInitialWindow(body);
    sender.control(frame(FRAME.settings, FLAG.ack, 0));
    if (initialWindow !== undefined) sender.resize(initialWindow, flowsOf(streams));
  };
  const takePing = (flags: number, body: Buffer) => {
    if (body.length !== PING_BYTES) throw wrongSize("PING");
    if ((flags & FLAG.ack) !== 0) {
      const key = body.toString("latin1");
      const answered = pings.get(key);
      pings.delete(key);
      return answered?.();
    }
    spendIdle();
    sender.control(frame(FRAME.ping, FLAG.ack, 0, body));
    events.pinged();
  };
  const takeReset = (streamId: number, body: Buffer) => {
    if (body.length !== 4) throw wrongSize("RST_STREAM");
    const stream = openOf(streamId);
    if (stream === undefined) return;
    if (!resets.spend(performance.now())) {
      throw new Http2Error(CODE.enhanceYourCalm, "too many streams are reset");
    }
    stream.close();
  };
  const takeWindow = (streamId: number, body: Buffer) => {
    if (body.length !== 4) throw wrongSize("WINDOW_UPDATE");
    const increment = body.readUInt32BE(0) & UINT31_MAX;
    const stream = streamId === 0 ? undefined : openOf(streamId);
    if (increment === 0) {
      throw new Http2Error(CODE.protocolError, "a window grows by nothing", streamId);
    }
    if (streamId === 0 || stream !== undefined) sender.widen(stream?.flow, increment);
  };
  const route = (type: number, flags: number, streamId: number, body: Buffer) => {
    if (blocks.isOpen !== (type === FRAME.continuation)) {
      throw broken("the frames of a header block belong together");
    }
    if (!hasSettings && type !== FRAME.settings) throw broken("settings come first");
    if (ABOUT_CONNECTIONS.has(type) && streamId !== 0) throw broken("a stream in a wrong place");
    if (ABOUT_STREAMS.has(type) && streamId === 0) throw broken("a frame without its stream");
    switch (type) {
      case FRAME.data:
        return takeBody(flags, streamId, body);
      case FRAME.headers:
        return blocks.begin(flags, streamId, body);
      case FRAME.continuation:
        return blocks.goOn(flags, streamId, body);
      case FRAME.rstStream:
        return takeReset(streamId, body);
      case FRAME.settings:
        return takeSettings(flags, body);
      case FRAME.pushPromise:
        throw broken("a client does not push");
      case FRAME.ping:
        return takePing(flags, body);
      case FRAME.goaway:
        if (body.length < 8) throw wrongSize("GOAWAY");
        // What it has begun it still wants answered; it closes by itself.
        return spendIdle();
      case FRAME.windowUpdate:
        return takeWindow(streamId, body);
      case FRAME.priority:
        if (body.length !== 5) {
          throw new Http2Error(CODE.frameSizeError, "a PRIORITY of a wrong size", streamId);
        }
        return spendIdle();
      default:
        return spendIdle();
    }
  };
  const take = (type: number, flags: number, streamId: number, body: Buffer) => {
    if (isClosed) return;
    try {
      route(type, flags, streamId, body);
    } catch (error) {
      if (!(error instanceof Http2Error) || error.streamId === 0) throw error;
      const stream = streams.get(error.streamId);
      if (stream !== undefined) stream.reset(error.code);
      else sender.control(rstStream(error.streamId, error.code));
      spendIdle();
    }
  };
  const readFrames = createFrameReader(take, { preface: PREFACE });

  sender.control(settingsFrame(limits));
  sender.control(windowUpdate(0, windowBytes - WINDOW_BYTES));

  const connection: Http2Connection = {
    get isClosed() {
      return isClosed;
    },
    get bodyBytes() {
      return sender.bodyBytes;
    },
    ping(answered) {
      if (isClosed) return;
      const payload = Buffer.alloc(PING_BYTES);
      payload.writeUInt32BE(++pingCount);
      pings.set(payload.toString("latin1"), answered);
      sender.control(frame(FRAME.ping, 0, 0, payload));
    },
    sayLeaving(words) {
      if (!isClosed) sender.control(goaway(UINT31_MAX, CODE.noError, words));
    },
    close() {
      if (isClosed || isClosing) return;
      isClosing = true;
      servedMax = lastStreamId;
      sender.control(goaway(lastStreamId, CODE.noError, ""));
      closeWhenIdle();
    },
    destroy,
    received(piece) {
      if (isClosed) return;
      try {
        readFrames(piece);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    },
    drained: sender.drained,
    lost: over,
  };
  const events = own(connection);
  return connection;
}

const ABOUT_CONNECTIONS = new Set<number>([FRAME.settings, FRAME.ping, FRAME.goaway]);
const ABOUT_STREAMS = new Set<number>([
  FRAME.data,
  FRAME.headers,
  FRAME.priority,
  FRAME.rstStream,
  FRAME.pushPromise,
  FRAME.continuation,
]);

function broken(message: string): Http2Error {
  return new Http2Error(CODE.protocolError, message);
}

function wrongSize(name: string): Http2Error {
  return new Http2Error(CODE.frameSizeError, `a ${name} of a wrong size`);
}

function* flowsOf(streams: ReadonlyMap<number, OpenStream>) {
  for (const { flow } of streams.values()) yield flow;
}
