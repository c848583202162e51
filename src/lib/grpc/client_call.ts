/**
 * One call that we make, from its request to its status.
 *
 * Whatever its server does, something ends it:
 *
 *     a frame longer than what ever comes       the ping, whose answer is lost in it; else the deadline
 *     a header block that never ends            whatever comes next, as a fault of the connection
 *     an answer on a stream that never began    the same
 *     an answer on another stream of ours       the deadline
 *     a body too early, trailers without end    a fault of the stream
 *     a status in headers that do not end       that status, but a good one is a fault
 *     no answer, no end, windows of nothing     the deadline, which all have but the subscription;
 *                                               that has heartbeats
 */

import { describeError } from "../errors.ts";
import { CODE } from "../http2/frames.ts";
import type { Http2Stream } from "../http2/stream.ts";
import { type CallStatus, readFault, readHeaders, readReset, readTrailers } from "./call_status.ts";
import { createDeframer } from "./deframe.ts";
import { GrpcError, STATUS } from "./errors.ts";
import { messageHead } from "./message_head.ts";

export interface CallRequest {
  message: Uint8Array;
  /** Ends the call if it takes longer. */
  timeoutMs?: number;
  /** The largest message that is taken, in bytes. */
  receiveBytesMax: number;
}

export interface CallEvents {
  /** The server has let us in. */
  begun?(): void;
  /** A message, in order. Nothing more is read until the promise resolves; it must not reject. */
  received?(message: Uint8Array): Promise<void>;
  /** Called once, whatever happens. */
  ended(status: CallStatus): void;
}

export interface ClientCall {
  /** Ends the call with this status, unless it has one. */
  end(status: CallStatus): void;
}

/** It would be good if nothing followed. */
const GOOD_TOO_EARLY: CallStatus = {
  code: STATUS.internal,
  details: "Protocol error: a good status before the end",
};

/** Sends the request on a new stream. If the connection is lost, whoever owns it ends the call. */
export function startCall(
  stream: Http2Stream,
  { message, timeoutMs, receiveBytesMax }: CallRequest,
  events: CallEvents,
): ClientCall {
  let status: CallStatus | undefined;
  let encoding: string | undefined;
  let [isReceiving, isOver] = [false, false];
  /** What has come, and keeps its room. */
  let heldBytes = 0;
  const deframer = createDeframer(receiveBytesMax);

  const finish = () => {
    // What was received before a good end is still handed out; before a bad one, the next connection brings it again.
    if (isOver || status === undefined) return;
    if (status.code === STATUS.ok && isReceiving) return;
    isOver = true;
    clearTimeout(timer);
    events.ended(status);
  };
  const settle = (given: CallStatus) => {
    status ??= given;
    finish();
  };
  const end = (given: CallStatus) => {
    if (status !== undefined) return;
    settle(given);
    stream.reset(CODE.cancel);
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
    const details = `Deadline exceeded after ${timeoutMs / 1_000} s`;
    end({ code: STATUS.deadlineExceeded, details });
  }, timeoutMs);

  const receive = async () => {
    isReceiving = true;
    try {
      for (let next = deframer.next(encoding); next; next = deframer.next(encoding)) {
        if (events.received === undefined) continue;
        await events.received(next);
        if (isOver) return;
      }
    } catch (error) {
      const code = error instanceof GrpcError ? error.status : STATUS.internal;
      end({ code, details: describeError(error) });
    } finally {
      isReceiving = false;
      const taken = heldBytes;
      heldBytes = 0;
      stream.taken(taken);
      finish();
    }
  };

  stream.read({
    head(headers, isEnd) {
      const ending = readHeaders(headers, { isEnd });
      if (ending === undefined) {
        encoding = headers.get("grpc-encoding");
        if (!isOver) events.begun?.();
        return;
      }
      // Whoever waited for the end of such a stream would wait for ever.
      settle(!isEnd && ending.code === STATUS.ok ? GOOD_TOO_EARLY : ending);
      if (!isEnd) stream.reset(CODE.cancel);
    },
    body(piece) {
      // What comes while a message is taken waits in the stream's window.
      heldBytes += piece.length;
      if (isOver) return;
      deframer.push(piece);
      // It never rejects.
      if (!isReceiving) void receive();
    },
    ended(trailers) {
      settle(trailers === undefined ? readReset(CODE.noError) : readTrailers(trailers));
    },
  });
  stream.onClose(({ resetCode, fault }) => {
    if (fault !== undefined) settle(readFault(fault));
    else if (resetCode !== undefined) settle(readReset(resetCode));
  });
  stream.write(messageHead(message), message);
  stream.end();
  return { end };
}
