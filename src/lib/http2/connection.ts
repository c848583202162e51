/**
 * One HTTP/2 connection (RFC 9113), of which we are the server or the client.
 *
 * A fault of the peer ends its stream or the connection, in the words of the RFC, and what was written before leaves first.
 * Whatever a peer can have us do or keep has a limit here. What only one of the two does is its role: `server_connection.ts`
 * and `client_connection.ts`.
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
  readGoaway,
  UINT31_MAX,
  windowUpdate,
  withoutPadding,
} from "./frames.ts";
import { createBlockAssembly } from "./header_blocks.ts";
import { createOpenStreams, type OpenStreams } from "./open_streams.ts";
import { createPingLog } from "./ping_log.ts";
import { createRoom, type Room } from "./room.ts";
import { createSender, type Sender } from "./sending.ts";
import { type PeerSettings, readSettings } from "./settings.ts";

/** What a connection needs of a socket. */
export interface Transport {
  /** Returns whether more is welcome; `drained` of the connection is to be called when it is again. */
  write(bytes: Uint8Array): boolean;
  /** Closes once everything has been written, and at some time in any case. */
  end(): void;
}

export interface ConnectionLimits {
  /** What a peer may have on its way, on one stream and on all together. */
  windowBytes: number;
  /** Headers of a request or an answer, by the count of §6.5.2 and as a block. */
  headerBytesMax: number;
}

/** What happens to a connection. */
export interface ConnectionEvents {
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
  /** Calls back when the peer has answered, or is gone. */
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

/** What a server does in its way and a client in another. */
export interface Role {
  readonly isClient: boolean;
  /** What the peer says first. */
  readonly preface: Buffer | undefined;
  /** What we say first. */
  readonly greeting: readonly Buffer[];
  /** The highest id of a stream that has begun. */
  readonly lastBegun: number;
  /** Takes a whole header block. */
  takeHeaders(streamId: number, block: Buffer, isEnd: boolean): void;
  /** The peer resets an open stream. */
  takeReset(): void;
  takeSettings(settings: PeerSettings): void;
  /** Our settings are acknowledged. */
  settingsTaken(): void;
  /** The peer wants no stream above `lastId`. */
  takeGoaway(goodbye: { lastId: number; code: number; words: string }): void;
  /** Those that begin from now on are not served. */
  seal(): void;
  closed(): void;
}

/** What a role has of its connection. */
export interface RoleParts {
  sender: Sender;
  /** Of the connection. */
  room: Room;
  streams: OpenStreams;
  /** A frame that carries nothing has come: there may be so many. */
  spendIdle(): void;
  /** To be called after a stream was taken out of those that are open. */
  streamEnded(): void;
  fail(error: Error): void;
}

/** Frames that ask for an answer or carry nothing: SETTINGS, PING, PRIORITY, empty DATA, and what nobody knows. */
const IDLE_FRAMES = { atOnce: 10_000, perSecond: 1_000 };
const WINDOW_BYTES = 65_535;

/** Begins a connection with our greeting. `own` says what its owner wants to hear. */
export function openConnection<R extends Role>(
  transport: Transport,
  limits: ConnectionLimits,
  makeRole: (parts: RoleParts) => R,
  own: (connection: Http2Connection) => ConnectionEvents,
): { connection: Http2Connection; role: R } {
  const idleFrames = createBudget(IDLE_FRAMES);
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
  const pings = createPingLog(sender.control);
  const streams = createOpenStreams(sender, () => role.lastBegun);

  const over = () => {
    if (isClosed) return;
    isClosed = true;
    role.closed();
    streams.closeAll();
    pings.endAll();
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
    sender.control(goaway(role.isClient ? 0 : role.lastBegun, code, words));
    sender.flush();
    end();
  };
  const fail = (error: Error) => {
    if (isClosed) return;
    events.failed(error);
    destroy(error instanceof Http2Error ? error.code : CODE.internalError, error.message);
  };
  const closeWhenIdle = () => {
    if (!isClosing || streams.size > 0 || isClosed) return;
    sender.flush();
    over();
    end();
  };

  const spendIdle = () => spend(idleFrames, "too many frames that carry nothing");
  const role = makeRole({
    sender,
    room,
    streams,
    spendIdle,
    streamEnded() {
      if (isClosing) queueMicrotask(closeWhenIdle);
    },
    fail,
  });
  const blocks = createBlockAssembly(role.takeHeaders, limits.headerBytesMax);

  const takeBody = (flags: number, streamId: number, body: Buffer) => {
    const isEnd = (flags & FLAG.endStream) !== 0;
    if (body.length === 0 && !isEnd) spendIdle();
    if (!room.spend(body.length)) {
      throw new Http2Error(CODE.flowControlError, "a body is larger than the connection's window");
    }
    const content = withoutPadding(flags, body);
    const stream = streams.get(streamId);
    // A client's streams do not hold each other up: each has its own window, and there are only those that it has begun.
    if (stream === undefined || role.isClient) room.free(body.length);
    if (stream === undefined) return;
    stream.receive(body.length, content);
    if (isEnd) stream.peerEnded();
  };
  const takeSettings = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) return role.settingsTaken();
    spendIdle();
    hasSettings = true;
    const settings = readSettings(body, role);
    sender.control(frame(FRAME.settings, FLAG.ack, 0));
    const { initialWindow, headerTableBytes } = settings;
    if (initialWindow !== undefined) sender.resize(initialWindow, streams.flows());
    if (headerTableBytes !== undefined) sender.tableChanged(headerTableBytes);
    role.takeSettings(settings);
  };
  const takePing = (flags: number, body: Buffer) => {
    if ((flags & FLAG.ack) !== 0) return pings.answered(body);
    spendIdle();
    sender.control(frame(FRAME.ping, FLAG.ack, 0, body));
    events.pinged();
  };
  const takeReset = (streamId: number, body: Buffer) => {
    const stream = streams.get(streamId);
    if (stream === undefined) return;
    role.takeReset();
    stream.close({ resetCode: body.readUInt32BE(0) });
  };
  const takeWindow = (streamId: number, body: Buffer) => {
    const increment = body.readUInt32BE(0) & UINT31_MAX;
    const stream = streamId === 0 ? undefined : streams.get(streamId);
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
        return takeReset(streamId, body);
      case FRAME.settings:
        return takeSettings(flags, body);
      case FRAME.ping:
        return takePing(flags, body);
      case FRAME.windowUpdate:
        return takeWindow(streamId, body);
      case FRAME.goaway:
        spendIdle();
        return role.takeGoaway(readGoaway(body));
      default:
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
  const readFrames = createFrameReader(take, role);

  const connection: Http2Connection = {
    get isClosed() {
      return isClosed;
    },
    get bodyBytes() {
      return sender.bodyBytes;
    },
    ping(answered) {
      if (isClosed) answered();
      else pings.ask(answered);
    },
    sayLeaving(words) {
      if (!isClosed) sender.control(goaway(UINT31_MAX, CODE.noError, words));
    },
    close() {
      if (isClosed || isClosing) return;
      isClosing = true;
      role.seal();
      sender.control(goaway(role.isClient ? 0 : role.lastBegun, CODE.noError, ""));
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
  for (const bytes of role.greeting) sender.control(bytes);
  sender.control(windowUpdate(0, limits.windowBytes - WINDOW_BYTES));
  return { connection, role };
}

/** Takes one of a budget; throws when there is none left. */
export function spend({ spend }: Budget, message: string): void {
  if (!spend(performance.now())) throw new Http2Error(CODE.enhanceYourCalm, message);
}
