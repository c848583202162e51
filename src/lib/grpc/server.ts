/**
 * A gRPC server on bare `node:http2` streams: unary and server-streaming methods over bytes.
 *
 * Half of what a call costs through an adapter is the adapter (docs/decisions/0004), and Maestro serves just
 * two methods. Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { describeError, MaestroError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { GrpcError, type GrpcStatus, STATUS } from "./errors.ts";

/** What a method may know of its call. */
export interface Call {
  /** The value of a request header (gRPC calls it metadata), lower-case name. */
  header(name: string): string | undefined;
}

/** A response that is sent piece by piece. */
export interface ResponseStream {
  /** Sends the response headers now; without it they go with the first message. */
  start(headers: Record<string, string>): void;
  /** Sends a message. False: the peer is slower than we are; wait for `drained` before the next. */
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

export interface Methods {
  unary: Record<string, (message: Uint8Array, call: Call) => Promise<Uint8Array>>;
  streaming: Record<
    string,
    (message: Uint8Array, stream: ResponseStream, call: Call) => Promise<void>
  >;
}

export interface GrpcServerOptions {
  hostname: string;
  /** 0 lets the system choose. */
  port: number;
  /** Largest message accepted, in bytes. */
  receiveBytesMax: number;
  /** A connection that leaves a ping without an answer for so long is dead; ten seconds by default. */
  pingMs?: number;
  /** PEM texts; plain HTTP/2 without them. */
  tls?: { cert: string; key: string; ca?: string };
  log: Logger;
}

export interface GrpcServer extends AsyncDisposable {
  port: number;
}

/** A message buffered beyond this makes a stream full. */
const BUFFER_BYTES_MAX = 1024 * 1024;
const PING_MS = 10_000;
/** Time for peers to take their last messages at shutdown. */
const DRAIN_MS = 1_000;
/** Status texts are headers, of which some peers take no more than 8 KiB. */
const STATUS_BYTES_MAX = 6 * 1024;
const CONTENT_TYPE = "application/grpc";

/** Starts serving. Disposing ends every stream with UNAVAILABLE, sends GOAWAY, and closes. */
export async function serveGrpc(methods: Methods, options: GrpcServerOptions): Promise<GrpcServer> {
  const settings = { initialWindowSize: 1024 * 1024, maxHeaderListSize: 64 * 1024 };
  const server = options.tls === undefined
    ? http2.createServer({ settings })
    : http2.createSecureServer({ ...options.tls, settings, minVersion: "TLSv1.3" });
  const sessions = new Set<http2.ServerHttp2Session>();
  const open = new Set<ResponseStream>();
  server.on("session", (session) => {
    sessions.add(session);
    const pinging = startPings(session, options.pingMs ?? PING_MS);
    session.on("close", () => {
      clearInterval(pinging);
      sessions.delete(session);
    });
    session.on("error", (error) => options.log.debug("a connection failed", { error }));
  });
  server.on("sessionError", (error) => options.log.debug("a connection failed", { error }));
  server.on("stream", (stream, headers) => {
    stream.on("error", (error) => options.log.debug("a stream failed", { error }));
    serveStream(stream as http2.ServerHttp2Stream, headers, { methods, options, open });
  });
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const stream of open) {
        stream.end({ code: STATUS.unavailable, message: "the server is shutting down" });
      }
      const closed = [...sessions].map((session) =>
        new Promise<void>((resolve) => {
          session.once("close", resolve);
          session.close();
        })
      );
      await Promise.race([Promise.all(closed), Bun.sleep(DRAIN_MS)]);
      for (const session of sessions) session.destroy();
    },
  };
}

/** Ends a connection whose other end is gone though nobody said so; TCP alone takes a quarter of an hour. */
function startPings(session: http2.ServerHttp2Session, intervalMs: number): Timer {
  let isAwaited = false;
  return setInterval(() => {
    if (session.destroyed) return;
    if (isAwaited) return session.destroy();
    isAwaited = true;
    session.ping(() => {
      isAwaited = false;
    });
  }, intervalMs);
}

async function listen(server: http2.Http2Server, options: GrpcServerOptions): Promise<void> {
  const { hostname, port } = options;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, hostname, resolve);
  try {
    await promise;
  } catch (cause) {
    const reason = describeError(cause);
    throw new MaestroError("unavailable", `Cannot listen on ${hostname}:${port}: ${reason}`, {
      cause,
    });
  } finally {
    server.off("error", reject);
  }
}

interface Serving {
  methods: Methods;
  options: GrpcServerOptions;
  open: Set<ResponseStream>;
}

function serveStream(
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  { methods, options, open }: Serving,
): void {
  if (headers[":method"] !== "POST" || !headers["content-type"]?.startsWith(CONTENT_TYPE)) {
    stream.respond({ ":status": 415, "content-type": "text/plain" });
    stream.end("This port speaks gRPC\n");
    return;
  }
  const path = headers[":path"] ?? "";
  const unary = methods.unary[path];
  const streaming = methods.streaming[path];
  const call: Call = {
    header: (name) => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
  const fail = (error: unknown) => respondStatus(stream, toStatus(error, options.log, path));
  if (unary === undefined && streaming === undefined) {
    fail(new GrpcError(STATUS.unimplemented, `unknown method ${path}`));
    return;
  }
  readMessage(stream, headers, options.receiveBytesMax, (error, message) => {
    if (stream.destroyed || stream.closed) return;
    if (error !== undefined || message === undefined) return fail(error);
    if (unary !== undefined) {
      unary(message, call).then((reply) => respondUnary(stream, reply)).catch(fail);
    } else if (streaming !== undefined) {
      const response = createResponseStream(stream);
      open.add(response);
      response.onClose(() => open.delete(response));
      streaming(message, response, call).catch((error) =>
        response.end(toStatus(error, options.log, path))
      );
    }
  });
}

/** Reads the one message of a request: a flag, a length and as many bytes. */
function readMessage(
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  bytesMax: number,
  done: (error: GrpcError | undefined, message?: Uint8Array) => void,
): void {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let isOver = false;
  const finish = (error: GrpcError | undefined, message?: Uint8Array) => {
    if (isOver) return;
    isOver = true;
    chunks.length = 0;
    done(error, message);
  };
  stream.on("data", (chunk: Uint8Array) => {
    if (isOver) return;
    chunks.push(chunk);
    size += chunk.length;
    if (size <= bytesMax + 5) return;
    finish(tooLarge(size - 5, bytesMax));
  });
  stream.on("end", () => {
    if (isOver) return;
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    if (body === undefined || body.length < 5) {
      return finish(new GrpcError(STATUS.internal, "the request has no message"));
    }
    const length = new DataView(body.buffer, body.byteOffset, 5).getUint32(1);
    if (length > bytesMax) return finish(tooLarge(length, bytesMax));
    if (body.length !== length + 5) {
      return finish(new GrpcError(STATUS.internal, "the request's message is cut off"));
    }
    const message = body.subarray(5);
    if (body[0] === 0) return finish(undefined, message);
    if (headers["grpc-encoding"] !== "gzip") {
      return finish(
        new GrpcError(STATUS.unimplemented, `unknown compression "${headers["grpc-encoding"]}"`),
      );
    }
    try {
      finish(undefined, gunzipSync(message, { maxOutputLength: bytesMax }));
    } catch {
      finish(
        new GrpcError(
          STATUS.resourceExhausted,
          `a message of at most ${bytesMax} bytes in gzip was expected`,
        ),
      );
    }
  });
}

function tooLarge(size: number, bytesMax: number): GrpcError {
  // The wording of grpc-go, which people search for.
  return new GrpcError(
    STATUS.resourceExhausted,
    `grpc: received message larger than max (${size} vs. ${bytesMax})`,
  );
}

function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(message.length + 5);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, 5);
  return framed;
}

const RESPONSE_HEADERS = {
  ":status": 200,
  "content-type": CONTENT_TYPE,
  "grpc-accept-encoding": "identity,gzip",
};

function respondUnary(stream: http2.ServerHttp2Stream, reply: Uint8Array): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame(reply));
}

/** A response that is only a status ("trailers only"). */
function respondStatus(stream: http2.ServerHttp2Stream, status: GrpcStatus): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond({ ...RESPONSE_HEADERS, ...statusHeaders(status) }, { endStream: true });
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

function createResponseStream(stream: http2.ServerHttp2Stream): ResponseStream {
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
    if (isStarted || stream.destroyed || stream.closed) return;
    isStarted = true;
    stream.respond({ ...RESPONSE_HEADERS, ...headers }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(statusHeaders(final)));
  };
  return {
    start,
    write(message) {
      if (isEnded || stream.destroyed || stream.closed) return false;
      start({});
      stream.write(frame(message));
      return stream.writableLength < BUFFER_BYTES_MAX;
    },
    get isFull() {
      return stream.writableLength >= BUFFER_BYTES_MAX;
    },
    async drained() {
      while (!stream.destroyed && !stream.closed && stream.writableLength >= BUFFER_BYTES_MAX) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    get isClosed() {
      return isEnded || stream.destroyed || stream.closed;
    },
    end(status) {
      if (isEnded || stream.destroyed || stream.closed) return;
      isEnded = true;
      final = status;
      if (!isStarted) respondStatus(stream, status);
      else stream.end();
    },
    onClose: (callback) => void stream.once("close", callback),
  };
}

function toStatus(error: unknown, log: Logger, path: string): GrpcStatus {
  if (error instanceof GrpcError) return { code: error.status, message: error.message };
  log.error("a call failed", { path, error });
  return { code: STATUS.internal, message: "Internal error" };
}
