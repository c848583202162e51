/** A gRPC server whose calls wait until a test releases them, and a bare HTTP/2 client for it. */

import http2 from "node:http2";
import { parseFlags } from "../../src/lib/flags.ts";
import { PUBLISH, SUBSCRIBE } from "../../src/lib/grpc/paths.ts";
import type { ResponseStream } from "../../src/lib/grpc/response.ts";
import { serveGrpc } from "../../src/lib/grpc/server.ts";
import { GRPC_FLAGS, grpcLimits } from "../../src/lib/grpc_config.ts";
import { testLogger } from "../harness/postgres.ts";

export interface SlowServer extends AsyncDisposable {
  port: number;
  streams: ResponseStream[];
  /** Publishes that wait. */
  waiting(): number;
  /** Answers all of them. */
  release(): void;
}

/** Serves with these flags; requests under way may hold so many bytes. */
export async function serveSlowly(
  { args = [], heldBytesMax }: { args?: string[]; heldBytesMax?: number } = {},
): Promise<SlowServer> {
  const streams: ResponseStream[] = [];
  const waiting: (() => void)[] = [];
  const methods = {
    unary: {
      [PUBLISH]: () =>
        new Promise<Uint8Array>((resolve) => waiting.push(() => resolve(new Uint8Array()))),
    },
    streaming: {
      // deno-lint-ignore require-await
      [SUBSCRIBE]: async (_: Uint8Array, stream: ResponseStream) => {
        stream.start({});
        streams.push(stream);
      },
    },
  };
  const limits = grpcLimits(parseFlags(GRPC_FLAGS, args, {}).values);
  const log = testLogger();
  const server = await serveGrpc(methods, {
    ...{ hostname: "127.0.0.1", port: 0, limits, log },
    ...(heldBytesMax !== undefined && { heldBytesMax }),
  });
  const release = () => {
    for (const answer of waiting.splice(0)) answer();
  };
  let closing: Promise<void> | undefined;
  return {
    port: server.port,
    streams,
    waiting: () => waiting.length,
    release,
    async [Symbol.asyncDispose]() {
      closing ??= Promise.resolve(server[Symbol.asyncDispose]());
      await closing;
    },
  };
}

/** How a call ended: its status and text, as they travelled. */
export interface Ending {
  status: string;
  message: string;
}

export interface BareClient extends AsyncDisposable {
  /** Calls a method with a message, empty unless given, and resolves when the answer is complete. */
  call(
    path: string,
    message?: Uint8Array,
    headers?: Record<string, string>,
  ): Promise<Ending>;
  /** The same, without waiting. */
  send(path: string, message?: Uint8Array): http2.ClientHttp2Stream;
  /** Begins a call whose message never comes. */
  begin(path: string): Promise<Ending>;
  /** Begins a call of whose message nothing but the beginning comes. */
  trickle(path: string, beginning: Uint8Array): http2.ClientHttp2Stream;
  ping(): Promise<void>;
  /** The first GOAWAY. */
  goaway: Promise<{ code: number; words: string; lastStreamId: number }>;
  closed: Promise<void>;
  isOpen(): boolean;
}

const EMPTY_MESSAGE = new Uint8Array(5);

/** Connects without any habits of a gRPC library. */
export function openHttp2(port: number): BareClient {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  // Said by `goaway` and `closed` as well.
  session.on("error", () => {});
  const goaway = new Promise<{ code: number; words: string; lastStreamId: number }>((resolve) => {
    session.once("goaway", (code, lastStreamId, opaque) => {
      resolve({ code, lastStreamId, words: Buffer.from(opaque ?? []).toString() });
    });
  });
  const closed = new Promise<void>((resolve) => session.once("close", resolve));
  const open = (path: string, headers: Record<string, string> = {}) => {
    const own = { ":method": "POST", ":path": path, "content-type": "application/grpc" };
    const stream = session.request({ ...own, ...headers });
    // An end without a status is what the test then sees.
    stream.on("error", () => {});
    return stream;
  };
  const send = (
    path: string,
    message: Uint8Array = EMPTY_MESSAGE,
    headers: Record<string, string> = {},
  ) => {
    const stream = open(path, headers);
    stream.end(message);
    return stream;
  };
  return {
    call: (...asked) => endOf(send(...asked)),
    send,
    begin: (path) => endOf(open(path)),
    trickle(path, beginning) {
      const stream = open(path);
      stream.write(beginning);
      return stream;
    },
    ping: () =>
      new Promise((resolve) => {
        if (!session.destroyed) session.ping(() => resolve());
        else resolve();
      }),
    goaway,
    closed,
    isOpen: () => !session.closed && !session.destroyed,
    async [Symbol.asyncDispose]() {
      session.destroy();
      await closed;
    },
  };
}

function endOf(stream: http2.ClientHttp2Stream): Promise<Ending> {
  return new Promise((resolve) => {
    let last: http2.IncomingHttpHeaders = {};
    const read = (headers: http2.IncomingHttpHeaders) => {
      if (headers["grpc-status"] !== undefined) last = headers;
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("close", () =>
      resolve({
        status: String(last["grpc-status"] ?? ""),
        message: decodeURIComponent(String(last["grpc-message"] ?? "")),
      }));
    stream.resume();
  });
}
