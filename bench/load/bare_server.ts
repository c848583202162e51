/** A gRPC server that does nothing: it says yes to every call, and sends subscribers one message over and over. */

import { createFrameReader, FRAME, frame, plainHeader, PREFACE, windowUpdate } from "./frames.ts";

export interface BareServer extends Disposable {
  port: number;
}

/** `:status: 200` of HPACK's own table. */
const STATUS_200 = Buffer.from([0x88]);
const HEAD = Buffer.concat([STATUS_200, plainHeader("content-type", "application/grpc")]);
const TRAILERS = plainHeader("grpc-status", "0");
const EMPTY_MESSAGE = Buffer.alloc(5);
/** What a client lets us send at once before it says more: see http2.ts. */
const SENT_AHEAD_BYTES = 8 * 1024 * 1024;
const WINDOW_BYTES = 16 * 1024 * 1024;

/** Starts it on a free port. */
export function startBareServer(framedMessage: Uint8Array): BareServer {
  const server = Bun.listen<{ read: (piece: Buffer) => void; flush: () => void }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        let rest: Uint8Array = new Uint8Array();
        const write = (...parts: Uint8Array[]) => {
          rest = Buffer.concat([rest, ...parts]);
        };
        const flush = () => {
          if (rest.length > 0) rest = rest.subarray(Math.max(socket.write(rest), 0));
        };
        const read = createFrameReader(answers(framedMessage, write));
        write(frame(FRAME.SETTINGS, 0, 0), windowUpdate(0, WINDOW_BYTES));
        let preface = PREFACE.length;
        socket.data = {
          flush,
          read(piece) {
            const skipped = Math.min(preface, piece.length);
            preface -= skipped;
            read(piece.subarray(skipped));
            flush();
          },
        };
      },
      data: (socket, piece) => socket.data.read(piece),
      drain: (socket) => socket.data.flush(),
    },
  });
  const isAtOnce = true;
  return { port: server.port, [Symbol.dispose]: () => server.stop(isAtOnce) };
}

/** What a connection's frames are answered with. */
function answers(framedMessage: Uint8Array, write: (...parts: Uint8Array[]) => void) {
  let subscription: number | undefined;
  let taken = 0;
  const send = (bytes: number) => {
    const count = Math.floor(bytes / framedMessage.length);
    const message = frame(FRAME.DATA, 0, subscription ?? 0, framedMessage);
    write(...Array.from({ length: count }, () => message));
  };
  return (type: number, flags: number, streamId: number, body: Buffer) => {
    if (type === FRAME.SETTINGS && flags === 0) return write(frame(FRAME.SETTINGS, FRAME.ACK, 0));
    if (type === FRAME.HEADERS && body.includes("Subscribe")) subscription = streamId;
    if (type === FRAME.WINDOW_UPDATE && streamId === subscription) send(body.readUInt32BE(0));
    if (type !== FRAME.DATA) return;
    taken += body.length;
    if (taken > WINDOW_BYTES / 4) {
      write(windowUpdate(0, taken));
      taken = 0;
    }
    if ((flags & FRAME.END_STREAM) === 0) return;
    write(frame(FRAME.HEADERS, FRAME.END_HEADERS, streamId, HEAD));
    if (streamId === subscription) return send(SENT_AHEAD_BYTES);
    write(
      frame(FRAME.DATA, 0, streamId, EMPTY_MESSAGE),
      frame(FRAME.HEADERS, FRAME.END_HEADERS | FRAME.END_STREAM, streamId, TRAILERS),
    );
  };
}
