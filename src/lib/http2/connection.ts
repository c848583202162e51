/**
 * The server's end of one HTTP/2 connection (RFC 9113).
 *
 * A fault of the peer ends its stream or the connection, in the words of the RFC, and what was written before leaves first.
 * Whatever a peer can have us do or keep has a limit here.
 */

import { type Budget, createBudget } from "./budget.ts";
import { checkFrame, protocolError } from "./frame_rules.ts";
import {
  CODE,
  createFrameReader,
  FLAG,
  FRAME,
  frame,
  goaway,
  Http2Error,
  PREFACE,
  UINT31_MAX,
  windowUpdate,
  withoutPadding,
} from "./frames.ts";
import { createBlockAssembly } from "./header_blocks.ts";
import { createRoom } from "./room.ts";
import { createSender } from "./sending.ts";
import { readInitialWindow, settingsFrame } from "./settings.ts";
import type { Http2Stream } from "./stream.ts";
import { createStreams } from "./streams.ts";

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
  /** Calls back when the client has answered, or is gone. */
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

/**
 * Resets are nearly free for a client, and the work that they end is not (CVE-2023-44487). All streams that are open may be
 * reset at once, as when the deadlines of many calls are over.
 */
const RESETS_PER_SECOND = 1_000;
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
  const resets = createBudget({ atOnce: limits.streamsMax, perSecond: RESETS_PER_SECOND });
  const idleFrames = createBudget(IDLE_FRAMES);
  const pings = new Map<string, () => void>();
  let pingCount = 0;
  let hasSettings = false;
  let isClosed = false;
  let isClosing = false;
  /** Nothing can be written any more. */
  let isCut = false;

  const sender = createSender(
    (bytes) => isCut || transport.write(bytes),
    () => fail(new Http2Error(CODE.enhanceYourCalm, "the peer reads nothing of what it asks for")),
  );
  const room = createRoom(limits.windowBytes, (increment) => {
    if (!isClosed) sender.control(windowUpdate(0, increment));
  });
  const streams = createStreams({
    sender,
    room,
    limits,
    begun: (stream) => events.stream(stream),
    ended() {
      if (isClosing) queueMicrotask(closeWhenIdle);
    },
  });
  const blocks = createBlockAssembly(streams.takeHeaders, limits.headerBytesMax);

  const over = () => {
    if (isClosed) return;
    isClosed = true;
    clearTimeout(greeting);
    streams.closeAll();
    for (const answered of pings.values()) answered();
    pings.clear();
    events.closed();
  };
  const end = () => {
    isCut = true;
    transport.end();
  };
  const destroy = (code: number, words: string) => {
    if (isClosed) return;
    sender.flush();
    over();
    sender.control(goaway(streams.lastId, code, words));
    sender.flush();
    end();
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
    end();
  };

  const spend = ({ spend }: Budget, message: string) => {
    if (!spend(performance.now())) throw new Http2Error(CODE.enhanceYourCalm, message);
  };
  const spendIdle = () => spend(idleFrames, "too many frames that carry nothing");
  const takeBody = (flags: number, streamId: number, body: Buffer) => {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (body.length === 0 && !isEnd) spendIdle();
    if (!room.spend(body.length)) {
      throw new Http2Error(CODE.flowControlError, "a body is larger than the connection's window");
    }
    const content = withoutPadding(flags, body);
    const stream = streams.open(streamId);
    if (stream === undefined) return room.free(body.length);
    stream.receive(body.length, content);
    if (isEnd) stream.requestEnded();
  };
  const takeSettings = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) return clearTimeout(greeting);
    spendIdle();
    hasSettings = true;
    const initialWindow = readInitialWindow(body);
    sender.control(frame(FRAME.settings, FLAG.ack, 0));
    if (initialWindow !== undefined) sender.resize(initialWindow, streams.flows());
  };
  const takePing = (flags: number, body: Buffer) => {
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
  const takeReset = (streamId: number) => {
    const stream = streams.open(streamId);
    if (stream === undefined) return;
    spend(resets, "too many streams are reset");
    stream.close();
  };
  const takeWindow = (streamId: number, body: Buffer) => {
    const increment = body.readUInt32BE(0) & UINT31_MAX;
    const stream = streamId === 0 ? undefined : streams.open(streamId);
    if (increment === 0) {
      throw new Http2Error(CODE.protocolError, "a window grows by nothing", streamId);
    }
    if (streamId === 0 || stream !== undefined) sender.widen(stream?.flow, increment);
  };
  const route = (type: number, flags: number, streamId: number, body: Buffer) => {
    if (blocks.isOpen !== (type === FRAME.continuation)) {
      throw protocolError("the frames of a header block belong together");
    }
    if (!hasSettings && type !== FRAME.settings) throw protocolError("settings come first");
    checkFrame(type, flags, streamId, body);
    switch (type) {
      case FRAME.data:
        return takeBody(flags, streamId, body);
      case FRAME.headers:
        return blocks.begin(flags, streamId, body);
      case FRAME.continuation:
        return blocks.goOn(flags, streamId, body);
      case FRAME.rstStream:
        return takeReset(streamId);
      case FRAME.settings:
        return takeSettings(flags, body);
      case FRAME.ping:
        return takePing(flags, body);
      case FRAME.windowUpdate:
        return takeWindow(streamId, body);
      default:
        // A GOAWAY too: what the client has begun it still wants answered, and then closes by itself.
        spendIdle();
    }
  };
  const take = (type: number, flags: number, streamId: number, body: Buffer) => {
    if (isClosed) return;
    try {
      route(type, flags, streamId, body);
    } catch (error) {
      if (!(error instanceof Http2Error) || error.streamId === 0) throw error;
      streams.refuse(error);
      spendIdle();
    }
  };
  const readFrames = createFrameReader(take, { preface: PREFACE });

  const connection: Http2Connection = {
    get isClosed() {
      return isClosed;
    },
    get bodyBytes() {
      return sender.bodyBytes;
    },
    ping(answered) {
      if (isClosed) return answered();
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
      streams.seal();
      sender.control(goaway(streams.lastId, CODE.noError, ""));
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
    lost() {
      isCut = true;
      over();
    },
  };
  const events = own(connection);
  sender.control(settingsFrame(limits));
  sender.control(windowUpdate(0, limits.windowBytes - WINDOW_BYTES));
  return connection;
}
