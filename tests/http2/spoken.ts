/** A connection whose other end is a test: it says bytes, and sees the frames that come back. */

import {
  type ClientConnection,
  openClientConnection,
} from "../../src/lib/http2/client_connection.ts";
import type { Http2Connection, Transport } from "../../src/lib/http2/connection.ts";
import type { Headers } from "../../src/lib/http2/fields.ts";
import { createFrameReader, FLAG, FRAME, frame, PREFACE } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import { openServerConnection, type ServerLimits } from "../../src/lib/http2/server_connection.ts";
import type { Http2Stream, StreamEnd } from "../../src/lib/http2/stream.ts";

export interface Heard {
  type: number;
  flags: number;
  streamId: number;
  body: Buffer;
}

/** What the test sees and does of either end. */
interface Line {
  /** All frames so far. */
  frames: Heard[];
  /** The lengths of all writes so far. */
  writes: number[];
  isClosed(): boolean;
  /** Says these frames, and waits until the answers have left. */
  say(...frames: Buffer[]): Promise<void>;
  /** The socket is full after the next write. */
  fill(): void;
  /** It takes more again. */
  drain(): Promise<void>;
  /** The frames of a kind. */
  of(type: number): Heard[];
}

/** The end of a server, whose client is the test. */
export interface Spoken extends Line {
  connection: Http2Connection;
  /** The requests that have begun, with what came of their bodies. */
  streams: (Http2Stream & { heard: Buffer[]; isEnded: boolean })[];
  pings: number;
}

/** The end of a client, whose server is the test. */
export interface SpokenClient extends Line {
  connection: ClientConnection;
  /** What was told of the connection, in order. */
  told: string[];
  /** Begins a request without a body, or one whose body follows. */
  ask(options?: { isEnd?: boolean }): Asked;
}

/** A request of that client, and what came of it. */
export interface Asked {
  stream: Http2Stream;
  heads: Headers[];
  pieces: Buffer[];
  trailers: (Headers | undefined)[];
  ends: StreamEnd[];
}

/** What a client says first. */
export const GREETING = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)]);

const LIMITS: ServerLimits = {
  windowBytes: 100_000,
  headerBytesMax: 64 * 1024,
  streamsMax: 100,
  greetingMs: 60_000,
};

/** Opens the server's end; nothing is said yet but its settings. */
export function openSpoken(limits: Partial<ServerLimits> = {}): Spoken {
  const streams: Spoken["streams"] = [];
  const open = (transport: Transport) =>
    openServerConnection(transport, { ...LIMITS, ...limits }, () => ({
      stream(stream) {
        const heard = Object.assign(stream, { heard: [] as Buffer[], isEnded: false });
        streams.push(heard);
        stream.read({
          body: (piece) => heard.heard.push(piece),
          ended: () => heard.isEnded = true,
        });
      },
      pinged: () => spoken.pings++,
      failed() {},
      closed() {},
    }));
  const spoken: Spoken = Object.assign(openLine(open, undefined), { streams, pings: 0 });
  return spoken;
}

/** Opens the client's end; nothing is said yet but its preface and its settings. */
export function openSpokenClient(limits: Partial<ServerLimits> = {}): SpokenClient {
  const told: string[] = [];
  const open = (transport: Transport) =>
    openClientConnection(transport, { ...LIMITS, ...limits }, {
      ready: () => told.push("ready"),
      sentAway: (code, words) => told.push(`sent away with ${code}, ${words}`),
      pinged: () => told.push("pinged"),
      failed: ({ message }) => told.push(message),
      closed: () => told.push("closed"),
    });
  const line = openLine(open, PREFACE);
  return Object.assign(line, {
    told,
    ask({ isEnd = true }: { isEnd?: boolean } = {}) {
      const stream = line.connection.request(encodeBlock(POST));
      if (stream === undefined) throw new Error("no stream begins any more");
      const asked: Asked = { stream, heads: [], pieces: [], trailers: [], ends: [] };
      stream.read({
        head: (headers) => asked.heads.push(headers),
        body: (piece) => asked.pieces.push(piece),
        ended: (trailers) => asked.trailers.push(trailers),
      });
      stream.onClose((end) => asked.ends.push(end));
      if (isEnd) stream.end();
      return asked;
    },
  });
}

function openLine<C extends Http2Connection>(
  open: (transport: Transport) => C,
  preface: Buffer | undefined,
): Line & { connection: C } {
  const frames: Heard[] = [];
  const hear = createFrameReader((type, flags, streamId, body) => {
    frames.push({ type, flags, streamId, body });
  }, { preface });
  let isFull = false;
  let isClosed = false;
  const writes: number[] = [];
  const connection = open({
    write(bytes) {
      writes.push(bytes.length);
      hear(Buffer.from(bytes));
      return !isFull;
    },
    end: () => isClosed = true,
  });
  const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  return {
    connection,
    frames,
    writes,
    isClosed: () => isClosed,
    async say(...said) {
      connection.received(Buffer.concat(said));
      await turn();
    },
    fill() {
      isFull = true;
    },
    async drain() {
      isFull = false;
      connection.drained();
      await turn();
    },
    of: (type) => frames.filter((one) => one.type === type),
  };
}

const POST = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a"],
  ["content-type", "application/grpc"],
] as const;

/** The headers of an answer, or its trailers. */
export function answer(
  streamId: number,
  fields: readonly (readonly [string, string])[],
  { isEnd = false }: { isEnd?: boolean } = {},
): Buffer {
  const flags = FLAG.endHeaders | (isEnd ? FLAG.endStream : 0);
  return frame(FRAME.headers, flags, streamId, encodeBlock(fields));
}

/** A request without a body, or one whose body follows. */
export function request(
  streamId: number,
  { fields = POST, isEnd = true }: {
    fields?: readonly (readonly [string, string])[];
    isEnd?: boolean;
  } = {},
): Buffer {
  const flags = FLAG.endHeaders | (isEnd ? FLAG.endStream : 0);
  return frame(FRAME.headers, flags, streamId, encodeBlock(fields));
}

/** POST, with other fields behind or in place of the usual ones. */
export function fieldsWith(...fields: [string, string][]): [string, string][] {
  return [...POST.map(([name, value]): [string, string] => [name, value]), ...fields];
}

/** A frame whose body is one number. */
export function numbered(type: number, streamId: number, number: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(number);
  return frame(type, 0, streamId, body);
}

/** SETTINGS with one entry. */
export function setting(key: number, value: number): Buffer {
  const body = Buffer.alloc(6);
  body.writeUInt16BE(key);
  body.writeUInt32BE(value, 2);
  return frame(FRAME.settings, 0, 0, body);
}
