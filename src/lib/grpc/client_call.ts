/** One call that we make, from its request to its status. */

import { type ClientHttp2Stream, constants } from "node:http2";
import { describeError } from "../errors.ts";
import { type CallStatus, readHeaders, readReset, readTrailers } from "./call_status.ts";
import { createDeframer } from "./deframe.ts";
import { GrpcError, STATUS } from "./errors.ts";

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

const FRAME_HEAD_BYTES = 5;

/** Sends the request on a new stream. `lost` says why the connection is gone; undefined while it is not. */
export function startCall(
  stream: ClientHttp2Stream,
  { message, timeoutMs, receiveBytesMax }: CallRequest,
  events: CallEvents,
  lost: () => CallStatus | undefined,
): ClientCall {
  let status: CallStatus | undefined;
  let encoding: string | undefined;
  let [isRead, isReceiving, isOver] = [false, false, false];
  const deframer = createDeframer(receiveBytesMax);

  const finish = () => {
    // What was received before a good end is still handed out; before a bad one, the next connection brings it again.
    if (isOver || status === undefined) return;
    if (status.code === STATUS.ok && (!isRead || isReceiving)) return;
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
    if (!stream.destroyed) stream.close(constants.NGHTTP2_CANCEL);
  };
  const endByServer = (given: CallStatus) => {
    settle(given);
    // Whoever is answered before the end of its request would leave the stream half open.
    if (!stream.writableFinished && !stream.destroyed) stream.close(constants.NGHTTP2_CANCEL);
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
    const details = `Deadline exceeded after ${timeoutMs / 1_000} s`;
    end({ code: STATUS.deadlineExceeded, details });
  }, timeoutMs);

  const receive = async () => {
    if (isReceiving) return;
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
      if (stream.isPaused()) stream.resume();
      finish();
    }
  };

  // Every error is followed by "close", where it gets its meaning.
  stream.on("error", () => {});
  stream.on("response", (headers, flags) => {
    const ending = readHeaders(headers, {
      isEnd: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
    });
    if (ending !== undefined) return endByServer(ending);
    encoding = headers["grpc-encoding"]?.toString();
    if (!isOver) events.begun?.();
  });
  stream.on("data", (piece: Uint8Array) => {
    if (isOver) return;
    deframer.push(piece);
    // What comes after this piece waits in the connection's window; pausing for each message would cost more than most take.
    if (isReceiving) stream.pause();
    // It never rejects.
    else void receive();
  });
  stream.on("trailers", (headers) => endByServer(readTrailers(headers)));
  stream.once("end", () => {
    isRead = true;
    finish();
  });
  stream.once("close", () => {
    isRead = true;
    if (status !== undefined) return finish();
    // By then the connection says whether it was lost with all its calls.
    setImmediate(() => settle(lost() ?? readReset(stream.rstCode)));
  });
  stream.end(frame(message));
  return { end };
}

function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafeSlow(FRAME_HEAD_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, FRAME_HEAD_BYTES);
  return framed;
}
