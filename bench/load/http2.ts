/** As much of HTTP/2 as a load generator needs: frames, requests whose headers never change, and flow control. */

import { createHeaderReader, type Header } from "./hpack.ts";
import { openLoadSocket } from "./socket.ts";

/** What comes on a stream. */
export interface StreamEvents {
  /** The answer has begun. */
  begun?(): void;
  body?(piece: Buffer): void;
  /** It has ended, with its last headers. */
  ended(headers: Header[]): void;
  failed(error: Error): void;
}

export interface Http2Connection {
  /** Sends a request whose encoded headers and body are these. */
  request(headers: Buffer, body: Uint8Array, events: StreamEvents): void;
  close(): void;
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEAD_BYTES = 9;
const FRAME_BYTES_MAX = 16_384;
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const INITIAL_WINDOW_SIZE = 4;
/** What servers let us send before they say more. */
const WINDOW_BYTES = 65_535;
/** What we let servers send. */
const OWN_WINDOW_BYTES = 16 * 1024 * 1024;

/** A header that no table has, as it is. */
export function plainHeader(name: string, value: string): Buffer {
  return Buffer.from(
    `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`,
    "latin1",
  );
}

/** Connects without TLS to a server on this machine. */
export async function openHttp2(port: number): Promise<Http2Connection> {
  const streams = new Map<number, StreamEvents>();
  const readHeaders = createHeaderReader();
  let lastId = -1;
  let sendWindow = WINDOW_BYTES;
  let streamWindow = WINDOW_BYTES;
  let taken = 0;
  let rest: Buffer = Buffer.alloc(0);
  /** Frames with a body that wait for the window, in order. */
  const waiting: Buffer[] = [];

  const end = (streamId: number, error: Error) => {
    streams.get(streamId)?.failed(error);
    streams.delete(streamId);
  };
  const endAll = (reason: string) => {
    for (const streamId of streams.keys()) end(streamId, new Error(reason));
  };
  const flush = () => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const size = next.length - HEAD_BYTES;
      if (size > sendWindow) return;
      sendWindow -= size;
      socket.write(next);
      waiting.shift();
    }
  };
  /** All that was taken may come again. */
  const refill = (streamId: number) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(taken);
    taken = 0;
    for (const id of [0, streamId]) {
      if (id === 0 || streams.has(id)) socket.write(frame(WINDOW_UPDATE, 0, id, size));
    }
  };

  const take = (type: number, flags: number, streamId: number, body: Buffer) => {
    const events = streams.get(streamId);
    switch (type) {
      case DATA:
        events?.body?.(body);
        taken += body.length;
        if (taken > OWN_WINDOW_BYTES / 4) refill(streamId);
        if ((flags & END_STREAM) !== 0) end(streamId, new Error("The answer has no trailers"));
        return;
      case HEADERS: {
        const headers = readHeaders(body);
        if ((flags & END_STREAM) === 0) return events?.begun?.();
        streams.delete(streamId);
        return events?.ended(headers);
      }
      case RST_STREAM:
        return end(streamId, new Error(`The server reset the stream: ${body.readUInt32BE(0)}`));
      case SETTINGS:
        if ((flags & ACK) !== 0) return;
        for (let at = 0; at < body.length; at += 6) {
          if (body.readUInt16BE(at) === INITIAL_WINDOW_SIZE) {
            streamWindow = body.readUInt32BE(at + 2);
          }
        }
        return socket.write(frame(SETTINGS, ACK, 0));
      case PING:
        return (flags & ACK) === 0 ? socket.write(frame(PING, ACK, 0, body)) : undefined;
      case GOAWAY:
        return endAll(`The server says goodbye: ${body.toString("latin1", 8)}`);
      case WINDOW_UPDATE:
        if (streamId !== 0) return;
        sendWindow += body.readUInt32BE(0);
        return flush();
    }
  };

  const socket = await openLoadSocket(port, {
    received(piece) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let at = 0;
      while (bytes.length - at >= HEAD_BYTES) {
        const bodyAt = at + HEAD_BYTES;
        const next = bodyAt + bytes.readUIntBE(at, 3);
        if (next > bytes.length) break;
        const [type = 0, flags = 0] = [bytes[at + 3], bytes[at + 4]];
        take(type, flags, bytes.readUInt32BE(at + 5), bytes.subarray(bodyAt, next));
        at = next;
      }
      rest = bytes.subarray(at);
    },
    closed: () => endAll("The server has closed the connection"),
  });
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
  settings.writeUInt32BE(OWN_WINDOW_BYTES, 2);
  const more = Buffer.alloc(4);
  more.writeUInt32BE(OWN_WINDOW_BYTES - WINDOW_BYTES);
  socket.write(
    Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings), frame(WINDOW_UPDATE, 0, 0, more)]),
  );

  return {
    request(headers, body, events) {
      // Nothing that the benches send is as large, and updates of single streams are not read.
      if (body.length > streamWindow) {
        return events.failed(new Error(`A request of ${body.length} bytes is too large`));
      }
      lastId += 2;
      streams.set(lastId, events);
      socket.write(frame(HEADERS, END_HEADERS, lastId, headers));
      for (let at = 0; at < body.length; at += FRAME_BYTES_MAX) {
        const part = body.subarray(at, at + FRAME_BYTES_MAX);
        const isLast = at + FRAME_BYTES_MAX >= body.length;
        waiting.push(frame(DATA, isLast ? END_STREAM : 0, lastId, part));
      }
      flush();
    },
    close: () => socket.close(),
  };
}

function frame(type: number, flags: number, streamId: number, body?: Uint8Array): Buffer {
  const size = body?.length ?? 0;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + size);
  bytes.writeUIntBE(size, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  if (body !== undefined) bytes.set(body, HEAD_BYTES);
  return bytes;
}
