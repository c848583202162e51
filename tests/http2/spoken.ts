/** A connection whose other end is a test: it says bytes, and sees the frames that come back. */

import {
  type ConnectionLimits,
  type Http2Connection,
  openHttp2Connection,
} from "../../src/lib/http2/connection.ts";
import { createFrameReader, FLAG, FRAME, frame, PREFACE } from "../../src/lib/http2/frames.ts";
import { encodeBlock } from "../../src/lib/http2/hpack.ts";
import type { Http2Stream } from "../../src/lib/http2/stream.ts";

export interface Heard {
  type: number;
  flags: number;
  streamId: number;
  body: Buffer;
}

export interface Spoken {
  connection: Http2Connection;
  /** The requests that have begun, with what came of their bodies. */
  streams: (Http2Stream & { heard: Buffer[]; isEnded: boolean })[];
  /** All frames so far. */
  frames: Heard[];
  /** The lengths of all writes so far. */
  writes: number[];
  isClosed(): boolean;
  pings: number;
  /** Says these frames, and waits until the answers have left. */
  say(...frames: Buffer[]): Promise<void>;
  /** The socket is full after the next write. */
  fill(): void;
  /** It takes more again. */
  drain(): Promise<void>;
  /** The frames of a kind, as numbers or texts. */
  of(type: number): Heard[];
}

/** What a client says first. */
export const GREETING = Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)]);

const LIMITS: ConnectionLimits = {
  windowBytes: 100_000,
  headerBytesMax: 64 * 1024,
  streamsMax: 100,
  greetingMs: 60_000,
};

/** Opens it; nothing is said yet but the settings of the server. */
export function openSpoken(limits: Partial<ConnectionLimits> = {}): Spoken {
  const frames: Heard[] = [];
  const hear = createFrameReader((type, flags, streamId, body) => {
    frames.push({ type, flags, streamId, body });
  }, { preface: undefined });
  let isFull = false;
  let isClosed = false;
  const streams: Spoken["streams"] = [];
  const writes: number[] = [];
  const connection = openHttp2Connection(
    {
      write(bytes) {
        writes.push(bytes.length);
        hear(Buffer.from(bytes));
        return !isFull;
      },
      end: () => isClosed = true,
    },
    { ...LIMITS, ...limits },
    () => ({
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
    }),
  );
  const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  const spoken: Spoken = {
    connection,
    streams,
    frames,
    writes,
    isClosed: () => isClosed,
    pings: 0,
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
  return spoken;
}

const POST = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a"],
  ["content-type", "application/grpc"],
] as const;

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
