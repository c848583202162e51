/** Responses of gRPC over a bare HTTP/2 stream: framed messages, and a status in the trailers. */

import type { ServerHttp2Stream } from "node:http2";
import { type GrpcStatus, STATUS } from "./errors.ts";

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
  /** True while something waits for the peer's window. */
  readonly hasUnsent: boolean;
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

/** A flag, which says that nothing is compressed, and the length. */
const FRAME_HEAD_BYTES = 5;

const HEADERS = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": "identity,gzip",
};

/** Answers with one message. */
export function respondUnary(stream: ServerHttp2Stream, reply: Uint8Array): void {
  if (isGone(stream)) return;
  stream.respond(HEADERS, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame(reply));
}

/** Answers with a status alone ("trailers only"). */
export function respondStatus(stream: ServerHttp2Stream, status: GrpcStatus): void {
  if (isGone(stream)) return;
  stream.respond({ ...HEADERS, ...statusHeaders(status) }, { endStream: true });
  closeEarly(stream);
}

/** Answers what is not gRPC. */
export function respondPlain(stream: ServerHttp2Stream, status: number, text: string): void {
  stream.respond({ ":status": status, "content-type": "text/plain" });
  stream.end(text);
  closeEarly(stream);
}

/** Whoever is answered before the end of its request would leave the stream half open. */
function closeEarly(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) stream.once("finish", () => stream.close());
}

/** Opens a response of many messages. `sent` is called after each. */
export function createResponseStream(
  stream: ServerHttp2Stream,
  { sendBytesMax, sent }: { sendBytesMax: number; sent: (by: ResponseStream) => void },
): ResponseStream {
  let final: GrpcStatus = { code: STATUS.ok };
  let isStarted = false;
  let isEnded = false;
  const waiting: (() => void)[] = [];
  const release = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  stream.on("drain", release);
  stream.on("close", release);
  const start = (headers: Record<string, string>) => {
    if (isStarted || isGone(stream)) return;
    isStarted = true;
    stream.respond({ ...HEADERS, ...headers }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(statusHeaders(final)));
    sent(response);
  };
  const end = (status: GrpcStatus) => {
    if (isEnded || isGone(stream)) return;
    isEnded = true;
    final = status;
    if (!isStarted) respondStatus(stream, status);
    else stream.end();
    sent(response);
  };
  const response: ResponseStream = {
    start,
    write(message) {
      if (isEnded || isGone(stream)) return false;
      if (message.length > sendBytesMax) {
        end({ code: STATUS.resourceExhausted, message: tooLargeToSend(message, sendBytesMax) });
        return false;
      }
      start({});
      stream.write(frame(message));
      sent(response);
      return stream.writableLength < BUFFER_BYTES_MAX;
    },
    get isFull() {
      return stream.writableLength >= BUFFER_BYTES_MAX;
    },
    get hasUnsent() {
      return stream.writableLength > 0;
    },
    async drained() {
      while (!isGone(stream) && stream.writableLength >= BUFFER_BYTES_MAX) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    get isClosed() {
      return isEnded || isGone(stream);
    },
    end,
    onClose: (callback) => void stream.once("close", callback),
  };
  return response;
}

function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

function tooLargeToSend(message: Uint8Array, sendBytesMax: number): string {
  // The wording of grpc-go, which people search for.
  return `trying to send message larger than max (${message.length} vs. ${sendBytesMax})`;
}

function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafeSlow(FRAME_HEAD_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, FRAME_HEAD_BYTES);
  return framed;
}

function statusHeaders({ code, message }: GrpcStatus): Record<string, string> {
  const headers: Record<string, string> = { "grpc-status": String(code) };
  if (message !== undefined && message !== "") headers["grpc-message"] = encodeMessage(message);
  return headers;
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
