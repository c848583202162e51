/** Responses of gRPC over a bare HTTP/2 stream: framed messages, and a status in the trailers. */

import { encodeBlock } from "../http2/hpack.ts";
import type { Http2Stream } from "../http2/stream.ts";
import { type GrpcStatus, STATUS } from "./errors.ts";
import { messageHead } from "./message_head.ts";

/** A response that is sent piece by piece. */
export interface ResponseStream {
  /** Sends the response headers now; without it they go with the first message. */
  start(headers: Record<string, string>): void;
  /**
   * Sends a message. False: the peer is slower than we are; wait for `drained` before the next.
   * A message above the limit ends the stream, as with grpc-go.
   */
  write(message: Uint8Array): boolean;
  /** True while a `write` would only grow the buffer. */
  readonly isFull: boolean;
  /** Resolves when `write` is welcome again, or the stream is closed. */
  drained(): Promise<void>;
  readonly isClosed: boolean;
  /** Ends the stream with a status. */
  end(status: GrpcStatus): void;
  /** Calls back once when the stream is gone, whoever ended it. */
  onClose(callback: () => void): void;
}

/** A message buffered beyond this makes a stream full. */
const BUFFER_BYTES_MAX = 1024 * 1024;
/** Status texts are headers, of which some peers take no more than 8 KiB. */
const STATUS_BYTES_MAX = 6 * 1024;

const HEADERS = [
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-accept-encoding", "identity,gzip"],
] as const;
const HEADERS_BLOCK = encodeBlock(HEADERS);
const GOOD_BLOCK = encodeBlock([["grpc-status", "0"]]);

/** Answers with one message. */
export function respondUnary(stream: Http2Stream, reply: Uint8Array): void {
  stream.start(HEADERS_BLOCK);
  stream.write(messageHead(reply), reply);
  stream.end(GOOD_BLOCK);
}

/** Answers with a status alone ("trailers only"). */
export function respondStatus(stream: Http2Stream, status: GrpcStatus): void {
  if (stream.isStarted) return;
  stream.start(Buffer.concat([HEADERS_BLOCK, statusBlock(status)]));
  stream.end();
}

/** Answers what is not gRPC. */
export function respondPlain(stream: Http2Stream, status: number, text: string): void {
  stream.start(encodeBlock([[":status", String(status)], ["content-type", "text/plain"]]));
  stream.write(Buffer.from(text));
  stream.end();
}

/** Opens a response of many messages. `sent` is called after each. */
export function createResponseStream(
  stream: Http2Stream,
  { sendBytesMax, sent }: { sendBytesMax: number; sent: () => void },
): ResponseStream {
  let isEnded = false;
  let waiting: (() => void)[] = [];
  const release = () => {
    if (waiting.length === 0 || (isFull() && !stream.isClosed)) return;
    const released = waiting;
    waiting = [];
    for (const resolve of released) resolve();
  };
  const isFull = () => stream.waitingBytes >= BUFFER_BYTES_MAX;
  stream.onProgress(release);
  stream.onClose(release);
  const start = (headers: Record<string, string>) => {
    if (stream.isStarted || stream.isClosed) return;
    const own = Object.entries(headers);
    stream.start(
      own.length === 0 ? HEADERS_BLOCK : Buffer.concat([HEADERS_BLOCK, encodeBlock(own)]),
    );
    sent();
  };
  const end = (status: GrpcStatus) => {
    if (isEnded || stream.isClosed) return;
    isEnded = true;
    if (!stream.isStarted) respondStatus(stream, status);
    else stream.end(statusBlock(status));
    sent();
  };
  return {
    start,
    write(message) {
      if (isEnded || stream.isClosed) return false;
      if (message.length > sendBytesMax) {
        end({ code: STATUS.resourceExhausted, message: tooLargeToSend(message, sendBytesMax) });
        return false;
      }
      start({});
      stream.write(messageHead(message), message);
      sent();
      return !isFull();
    },
    get isFull() {
      return isFull();
    },
    async drained() {
      while (!stream.isClosed && isFull()) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    get isClosed() {
      return isEnded || stream.isClosed;
    },
    end,
    onClose: stream.onClose,
  };
}

function tooLargeToSend(message: Uint8Array, sendBytesMax: number): string {
  // The wording of grpc-go, which people search for.
  return `trying to send message larger than max (${message.length} vs. ${sendBytesMax})`;
}

function statusBlock({ code, message }: GrpcStatus): Buffer {
  const status = ["grpc-status", String(code)] as const;
  if (message === undefined || message === "") return encodeBlock([status]);
  return encodeBlock([status, ["grpc-message", encodeMessage(message)]]);
}

/** Percent-encoded as the protocol says: everything but printable ASCII, and the percent sign. */
function encodeMessage(message: string): string {
  let encoded = "";
  for (const char of message) {
    if (encoded.length > STATUS_BYTES_MAX) return `${encoded}...`;
    if (/^[ -$&-~]$/.test(char)) encoded += char;
    else {
      for (const byte of Buffer.from(char, "utf8")) {
        encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
      }
    }
  }
  return encoded;
}
