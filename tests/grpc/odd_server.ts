/** A server of HTTP/2 whose every answer a test writes itself, and calls to it. */

import { once } from "node:events";
import http2, { type ServerHttp2Session, type ServerHttp2Stream, type Settings } from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import type { CallStatus } from "../../src/lib/grpc/call_status.ts";
import { type Channel, openChannel } from "../../src/lib/grpc/channel.ts";
import type { ClientCall } from "../../src/lib/grpc/client_call.ts";

export interface OddServer extends AsyncDisposable {
  port: number;
  sessions: ServerHttp2Session[];
}

/** Serves streams with `answer`. */
export async function serveOddly(
  answer: (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: Settings = {},
): Promise<OddServer> {
  const sessions: ServerHttp2Session[] = [];
  const server = http2.createServer({ settings });
  server.on("session", (session) => {
    session.on("error", () => {});
    sessions.push(session);
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    answer(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await new Promise<void>((resolve) =>
        net.Server.prototype.close.call(server, () => resolve())
      );
    },
  };
}

export interface RawServer extends AsyncDisposable {
  port: number;
  sockets: Socket[];
}

/** Accepts connections and lets `speak` do what it likes with each. */
export async function serveRaw(speak: (socket: Socket) => void): Promise<RawServer> {
  const sockets: Socket[] = [];
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
    speak(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The first headers of an answer. */
export const GRPC = { ":status": 200, "content-type": "application/grpc" };

/** Answers a call as a server does. */
export function answer(
  stream: ServerHttp2Stream,
  messages: Buffer[],
  trailers: Record<string, string>,
): void {
  stream.respond(GRPC, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers(trailers));
  for (const message of messages) stream.write(message);
  stream.end();
}

/** Frame types, and the headers of an answer whose messages follow. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST: 3,
  SETTINGS: 4,
  PUSH: 5,
  PING: 6,
  WINDOW_UPDATE: 8,
} as const;
/** `:status: 200` of HPACK's table, and the content type after its name there. */
export const GRPC_HEADERS = Buffer.from("\x88\x0f\x10\x10application/grpc", "latin1");
const PREFACE_BYTES = 24;
const ACK = 1;

/** A frame of HTTP/2. */
export function http2Frame(
  type: number,
  flags: number,
  stream: number,
  body: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Greets as a server does, and calls back with the id of each stream that is opened or reset. */
export function serveFrames(
  asked: (socket: Socket, stream: number) => void,
  reset: (stream: number) => void = () => {},
  { answersPings = false }: { answersPings?: boolean } = {},
): Promise<RawServer> {
  return serveRaw((socket) => {
    let bytes = Buffer.alloc(0);
    let skipped = PREFACE_BYTES;
    socket.write(http2Frame(FRAME.SETTINGS, 0, 0, Buffer.alloc(0)));
    socket.on("data", (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      const preface = Math.min(skipped, bytes.length);
      skipped -= preface;
      bytes = bytes.subarray(preface);
      while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
        const [type, flags = 0, stream] = [bytes[3], bytes[4], bytes.readUInt32BE(5)];
        const body = bytes.subarray(9, 9 + bytes.readUIntBE(0, 3));
        bytes = bytes.subarray(9 + body.length);
        if (type === FRAME.HEADERS) asked(socket, stream);
        if (type === FRAME.RST) reset(stream);
        if (type === FRAME.PING && answersPings) socket.write(http2Frame(FRAME.PING, ACK, 0, body));
        if (type === FRAME.SETTINGS && (flags & ACK) === 0) {
          socket.write(http2Frame(FRAME.SETTINGS, ACK, 0, Buffer.alloc(0)));
        }
      }
    });
  });
}

/** A channel to this machine that ends with its test. */
export function channelTo(
  port: number,
  options: Partial<Parameters<typeof openChannel>[1]> = {},
): Channel & Disposable {
  const channel = openChannel({ host: "127.0.0.1", port }, { sentAway() {}, ...options });
  return { ...channel, [Symbol.dispose]: () => channel.close() };
}

export interface Call {
  call: ClientCall;
  messages: string[];
  isBegun: boolean;
  /** How often its end was told. */
  endings: number;
  ended: Promise<CallStatus>;
}

/** Makes a call whose messages are texts. */
export function call(
  channel: Channel,
  options: {
    message?: Uint8Array;
    timeoutMs?: number;
    receiveBytesMax?: number;
    received?: (text: string) => Promise<void>;
  } = {},
): Call {
  const { message = new Uint8Array(), receiveBytesMax = 1_000_000, received, ...rest } = options;
  const ended = Promise.withResolvers<CallStatus>();
  const made: Omit<Call, "call"> = {
    messages: [],
    isBegun: false,
    endings: 0,
    ended: ended.promise,
  };
  const request = { message, receiveBytesMax, ...rest };
  return Object.assign(made, {
    call: channel.call("/service/Method", {}, request, {
      begun: () => void (made.isBegun = true),
      async received(bytes) {
        const text = Buffer.from(bytes).toString();
        made.messages.push(text);
        await received?.(text);
      },
      ended(status) {
        made.endings++;
        ended.resolve(status);
      },
    }),
  });
}

/** A message as it travels. */
export function frame(text: string | Uint8Array, flag = 0): Buffer {
  const message = Buffer.from(text);
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
