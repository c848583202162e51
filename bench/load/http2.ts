/** As much of HTTP/2 as a load generator needs: frames, requests whose headers never change, and flow control. */

import { createFrameReader, FRAME, frame, PREFACE, windowUpdate } from "./frames.ts";
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

const FRAME_BYTES_MAX = 16_384;
const INITIAL_WINDOW_SIZE = 4;
/** What servers let us send before they say more. */
const WINDOW_BYTES = 65_535;
/** What we let servers send. */
const OWN_WINDOW_BYTES = 16 * 1024 * 1024;

/** Connects without TLS to a server on this machine. */
export async function openHttp2(port: number): Promise<Http2Connection> {
  const streams = new Map<number, StreamEvents>();
  const readHeaders = createHeaderReader();
  let lastId = -1;
  let sendWindow = WINDOW_BYTES;
  let streamWindow = WINDOW_BYTES;
  const taken = new Map<number, number>();
  /** Frames with a body that wait for the window, in order. */
  const waiting: Buffer[] = [];

  const forget = (streamId: number) => {
    streams.delete(streamId);
    taken.delete(streamId);
  };
  const end = (streamId: number, error: Error) => {
    streams.get(streamId)?.failed(error);
    forget(streamId);
  };
  const endAll = (reason: string) => {
    for (const streamId of streams.keys()) end(streamId, new Error(reason));
  };
  const flush = () => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const size = next.length - FRAME.HEAD_BYTES;
      if (size > sendWindow) return;
      sendWindow -= size;
      socket.write(next);
      waiting.shift();
    }
  };
  /** What was taken may come again; 0 is the whole connection. */
  const count = (streamId: number, size: number) => {
    const bytes = (taken.get(streamId) ?? 0) + size;
    const isDue = bytes > OWN_WINDOW_BYTES / 4;
    if (isDue) socket.write(windowUpdate(streamId, bytes));
    taken.set(streamId, isDue ? 0 : bytes);
  };

  const take = (type: number, flags: number, streamId: number, body: Buffer) => {
    const events = streams.get(streamId);
    switch (type) {
      case FRAME.DATA:
        events?.body?.(body);
        count(0, body.length);
        count(streamId, body.length);
        if ((flags & FRAME.END_STREAM) !== 0) {
          end(streamId, new Error("The answer has no trailers"));
        }
        return;
      case FRAME.HEADERS: {
        const headers = readHeaders(body);
        if ((flags & FRAME.END_STREAM) === 0) return events?.begun?.();
        forget(streamId);
        return events?.ended(headers);
      }
      case FRAME.RST_STREAM:
        return end(streamId, new Error(`The server reset the stream: ${body.readUInt32BE(0)}`));
      case FRAME.SETTINGS:
        if ((flags & FRAME.ACK) !== 0) return;
        for (let at = 0; at < body.length; at += 6) {
          if (body.readUInt16BE(at) === INITIAL_WINDOW_SIZE) {
            streamWindow = body.readUInt32BE(at + 2);
          }
        }
        return socket.write(frame(FRAME.SETTINGS, FRAME.ACK, 0));
      case FRAME.PING:
        return (flags & FRAME.ACK) === 0
          ? socket.write(frame(FRAME.PING, FRAME.ACK, 0, body))
          : undefined;
      case FRAME.GOAWAY:
        return endAll(`The server says goodbye: ${body.toString("latin1", 8)}`);
      case FRAME.WINDOW_UPDATE:
        if (streamId !== 0) return;
        sendWindow += body.readUInt32BE(0);
        return flush();
    }
  };

  const socket = await openLoadSocket(port, {
    received: createFrameReader(take),
    closed: () => endAll("The server has closed the connection"),
  });
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
  settings.writeUInt32BE(OWN_WINDOW_BYTES, 2);
  socket.write(
    Buffer.concat([
      PREFACE,
      frame(FRAME.SETTINGS, 0, 0, settings),
      windowUpdate(0, OWN_WINDOW_BYTES - WINDOW_BYTES),
    ]),
  );

  return {
    request(headers, body, events) {
      // Nothing that the benches send is as large, and updates of single streams are not read.
      if (body.length > streamWindow) {
        return events.failed(new Error(`A request of ${body.length} bytes is too large`));
      }
      lastId += 2;
      streams.set(lastId, events);
      socket.write(frame(FRAME.HEADERS, FRAME.END_HEADERS, lastId, headers));
      for (let at = 0; at < body.length; at += FRAME_BYTES_MAX) {
        const part = body.subarray(at, at + FRAME_BYTES_MAX);
        const isLast = at + FRAME_BYTES_MAX >= body.length;
        waiting.push(frame(FRAME.DATA, isLast ? FRAME.END_STREAM : 0, lastId, part));
      }
      flush();
    },
    close: () => socket.close(),
  };
}
