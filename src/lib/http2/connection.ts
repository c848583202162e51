/**
 * One HTTP/2 connection (RFC 9113), of which we are the server or the client.
 *
 * A fault of the peer ends its stream or the connection, in the words of the RFC, and what was written before leaves first.
 * Whatever a peer can have us do or keep has a limit here. What only one of the two does is its role: `server_connection.ts`
 * and `client_connection.ts`.
 */

import { createBudget, spendOne } from "./budget.ts";
import {
  CODE,
  createFrameReader,
  goaway,
  Http2Error,
  INITIAL_WINDOW_BYTES,
  UINT31_MAX,
  windowUpdate,
} from "./frames.ts";
import { createOpenStreams } from "./open_streams.ts";
import { createPingLog } from "./ping_log.ts";
import type { Role, RoleParts } from "./role.ts";
import { createRoom } from "./room.ts";
import { createSender } from "./sending.ts";
import { createTaker } from "./taking.ts";

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

/** Frames that ask for an answer or carry nothing: SETTINGS, PING, PRIORITY, empty DATA, and what nobody knows. */
const IDLE_FRAMES = { atOnce: 10_000, perSecond: 1_000 };

/** Begins a connection with our greeting. `own` says what its owner wants to hear. */
export function openConnection<R extends Role>(
  transport: Transport,
  limits: ConnectionLimits,
  makeRole: (parts: RoleParts) => R,
  own: (connection: Http2Connection) => ConnectionEvents,
): { connection: Http2Connection; role: R } {
  const idleFrames = createBudget(IDLE_FRAMES);
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
  const streams = createOpenStreams(sender);

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
  const sayGoodbye = (code: number, words: string) => {
    sender.control(goaway(role.isClient ? 0 : streams.lastBegun, code, words));
  };
  const destroy = (code: number, words: string) => {
    if (isClosed) return;
    sender.flush();
    over();
    sayGoodbye(code, words);
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

  const spendIdle = () => spendOne(idleFrames, "too many frames that carry nothing");
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
  const take = createTaker({
    role,
    sender,
    room,
    streams,
    pings,
    headerBytesMax: limits.headerBytesMax,
    spendIdle,
    pinged: () => events.pinged(),
    isClosed: () => isClosed,
  });
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
      sayGoodbye(CODE.noError, "");
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
  sender.control(windowUpdate(0, limits.windowBytes - INITIAL_WINDOW_BYTES));
  return { connection, role };
}
