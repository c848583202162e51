/** One call: reads its message, runs its method, and sends what comes of it. */

import type { Http2Stream } from "../http2/stream.ts";
import { gunzipSync } from "node:zlib";
import type { Logger } from "../log.ts";
import type { Connection } from "./connection.ts";
import { GrpcError, type GrpcStatus, STATUS, statusOf } from "./errors.ts";
import type { HeldBytes, Hold } from "./held_bytes.ts";
import type { GrpcLimits } from "./limits.ts";
import {
  createResponseStream,
  respondPlain,
  respondStatus,
  respondUnary,
  type ResponseStream,
} from "./response.ts";

/** What a method may know of its call. */
export interface Call {
  /** The value of a request header (gRPC calls it metadata), lower-case name. */
  header(name: string): string | undefined;
  /** The connection that it came over. */
  connection: symbol;
}

export interface Methods {
  unary: Record<string, (message: Uint8Array, call: Call) => Promise<Uint8Array>>;
  streaming: Record<
    string,
    (message: Uint8Array, stream: ResponseStream, call: Call) => Promise<void>
  >;
}

export interface Serving {
  methods: Methods;
  limits: GrpcLimits;
  connection: Connection;
  held: HeldBytes;
  log: Logger;
}

const CONTENT_TYPE = "application/grpc";
const NOTHING = Buffer.alloc(0);

/** Serves a new stream. Whatever goes wrong is answered with a status. */
export function serveStream(
  stream: Http2Stream,
  serving: Serving,
): void {
  const { connection, limits, held, log } = serving;
  const { headers } = stream;
  const isGrpc = headers.get("content-type")?.startsWith(CONTENT_TYPE);
  if (headers.get(":method") !== "POST" || !isGrpc) {
    return respondPlain(stream, 415, "This port speaks gRPC\n");
  }
  if (!connection.enter(stream)) {
    const message = `too many calls at once on this connection: at most ${limits.callsMax}`;
    respondStatus(stream, { code: STATUS.resourceExhausted, message });
    return;
  }
  // Until both: the method of a call that the client has given up still costs us.
  let underWay = 2;
  const over = () => {
    if (--underWay === 0) connection.leave(stream);
  };
  stream.onClose(over);
  const hold = held.open();
  answer(stream, serving, hold).catch((error) => {
    respondStatus(stream, toStatus(error, log, headers.get(":path") ?? ""));
    connection.sent();
  }).finally(() => {
    hold.release();
    over();
  });
}

async function answer(
  stream: Http2Stream,
  { methods, limits, connection, log }: Serving,
  hold: Hold,
): Promise<void> {
  const { headers } = stream;
  const path = headers.get(":path") ?? "";
  const unary = methods.unary[path];
  const streaming = methods.streaming[path];
  const call: Call = {
    header: (name) => headers.get(name),
    connection: connection.key,
  };
  if (unary !== undefined) {
    const reply = await unary(await readMessage(stream, limits, hold), call);
    respondUnary(stream, reply);
    connection.sent();
  } else if (streaming !== undefined) {
    const message = await readMessage(stream, limits, hold);
    // The stream may live for weeks.
    hold.release();
    const { sendBytesMax } = limits;
    const response = createResponseStream(stream, { sendBytesMax, sent: connection.sent });
    connection.keep(response);
    await streaming(message, response, call).catch((error) =>
      response.end(toStatus(error, log, path))
    );
  } else {
    throw new GrpcError(STATUS.unimplemented, `unknown method ${path}`);
  }
}

/** Reads the one message of a request: a flag, a length and as many bytes. */
function readMessage(
  stream: Http2Stream,
  { receiveBytesMax, connectionTimeoutMs }: GrpcLimits,
  hold: Hold,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // One buffer that grows, as a message may come in very many pieces. One piece alone is not copied.
    let received: Buffer = NOTHING;
    let size = 0;
    let isOver = false;
    const timer = setTimeout(() => {
      refuse(new GrpcError(STATUS.deadlineExceeded, "the request's message did not come in time"));
    }, connectionTimeoutMs);
    const refuse = (error: GrpcError) => {
      clearTimeout(timer);
      isOver = true;
      received = NOTHING;
      hold.release();
      reject(error);
    };
    stream.read({
      body(piece) {
        // Messages have a limit of their own.
        stream.taken(piece.length);
        if (isOver) return;
        const from = size;
        size += piece.length;
        if (size > receiveBytesMax + 5) return refuse(tooLarge(size - 5, receiveBytesMax));
        const length = size <= received.length
          ? received.length
          : Math.max(size, 2 * received.length);
        if (!hold.grow(length)) return refuse(noRoom());
        if (from === 0) received = piece;
        else {
          if (received.length < length) received = grown(received, length);
          piece.copy(received, from);
        }
      },
      ended() {
        clearTimeout(timer);
        if (isOver) return;
        isOver = true;
        const body = received.subarray(0, size);
        try {
          const message = unframe(body, stream.headers.get("grpc-encoding"), receiveBytesMax);
          // One that was compressed may be a thousand times as large.
          if (!hold.grow(Math.max(received.length, message.length))) throw noRoom();
          resolve(message);
        } catch (error) {
          reject(error);
        }
      },
    });
    stream.onClose(() => {
      // Every stream closes, most of them after their answer.
      if (!isOver) refuse(new GrpcError(STATUS.cancelled, "the call was given up"));
    });
  });
}

function grown(bytes: Buffer, length: number): Buffer {
  const larger = Buffer.allocUnsafe(length);
  bytes.copy(larger);
  return larger;
}

function unframe(
  body: Uint8Array,
  encoding: string | undefined,
  receiveBytesMax: number,
): Uint8Array {
  if (body.length < 5) throw new GrpcError(STATUS.internal, "the request has no message");
  const length = new DataView(body.buffer, body.byteOffset, 5).getUint32(1);
  if (length > receiveBytesMax) throw tooLarge(length, receiveBytesMax);
  if (body.length !== length + 5) {
    throw new GrpcError(STATUS.internal, "the request's message is cut off");
  }
  const message = body.subarray(5);
  if (body[0] === 0) return message;
  if (encoding !== "gzip") {
    throw new GrpcError(STATUS.unimplemented, `unknown compression "${encoding}"`);
  }
  try {
    return gunzipSync(message, { maxOutputLength: receiveBytesMax });
  } catch {
    const expected = `a message of at most ${receiveBytesMax} bytes in gzip was expected`;
    throw new GrpcError(STATUS.resourceExhausted, expected);
  }
}

function noRoom(): GrpcError {
  const message = "the requests under way are too large for another: try again";
  return new GrpcError(STATUS.resourceExhausted, message);
}

function tooLarge(size: number, bytesMax: number): GrpcError {
  // The wording of grpc-go, which people search for.
  return new GrpcError(
    STATUS.resourceExhausted,
    `grpc: received message larger than max (${size} vs. ${bytesMax})`,
  );
}

function toStatus(error: unknown, log: Logger, path: string): GrpcStatus {
  const status = statusOf(error);
  if (status !== undefined) return status;
  log.error("a call failed", { path, error });
  return { code: STATUS.internal, message: "Internal error" };
}
