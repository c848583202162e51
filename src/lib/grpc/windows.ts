/**
 * Keeps the flow control of open streams right when the other end widens its windows.
 *
 * A new SETTINGS_INITIAL_WINDOW_SIZE changes the window of every open stream by the difference (RFC 9113 §6.9.2). Bun
 * 1.4.5 takes it for the least that a stream has been given in all, so a stream that was given more gains nothing. grpc-go
 * widens its windows as it measures its bandwidth, and in the end both sides wait for ever. So the difference
 * is put in front of such a frame, as WINDOW_UPDATE frames, which leave Bun nothing to add.
 */

import type { ClientHttp2Session } from "node:http2";
import type { Socket } from "node:net";

const PREFACE_BYTES = 24;
const HEAD_BYTES = 9;
const SETTINGS = 4;
const ACK = 1;
const WINDOW_UPDATE = 8;
const INITIAL_WINDOW_SIZE = 4;
/** Before a client says otherwise. */
const INITIAL = 65_535;
/** Six bytes each; a client that sends more than the largest frame by default is refused by the parser. */
const SETTINGS_BYTES_MAX = 16_384;

/**
 * Lets a client's session read from the "data" events of its socket, for `watchServerWindows`. By itself it takes the bytes from
 * the handle below, past everybody; a socket that shows none while its session begins is read as any other stream. Call it before
 * the session is made, and what it returns right after.
 */
export function exposeSocketReads(
  socket: Socket & { _handle?: unknown },
  event: "connect" | "secureConnect" | undefined,
): (session: ClientHttp2Session) => void {
  let handle: unknown;
  const hide = () => {
    handle = socket._handle;
    socket._handle = undefined;
  };
  const show = () => socket._handle = handle;
  if (event === undefined) hide();
  else socket.prependOnceListener(event, hide);
  return (session) =>
    event === undefined ? session.once("connect", show) : socket.once(event, show);
}

/** Puts the repair between a new session and its socket. `openStreams` are the ids of its streams; `pushed` is called if the server begins streams of its own. */
export function watchServerWindows(
  socket: Socket,
  openStreams: () => number[],
  pushed: () => void,
): void {
  for (const listener of socket.listeners("data")) {
    const read = listener as (chunk: Buffer) => void;
    socket.on("data", repairWindows(openStreams, read, { prefaceBytes: 0, pushed }));
    socket.off("data", read);
  }
}

/**
 * Passes on what the other end sends, in order, with what Bun needs in between. `openStreams` are the ids of streams.
 *
 * With `pushed` nothing is passed on from a frame of a stream with an even number: those are a server's own, and Bun's
 * sessions make a stream of it that nobody sees, whose error would end the process.
 */
export function repairWindows(
  openStreams: () => number[],
  pass: (bytes: Buffer) => void,
  { prefaceBytes = PREFACE_BYTES, pushed }: { prefaceBytes?: number; pushed?: () => void } = {},
): (chunk: Buffer) => void {
  let initial = INITIAL;
  let held: Buffer | undefined;
  // What of the current frame needs no look.
  let opaqueBytes = prefaceBytes;
  let isRefused = false;

  return (chunk) => {
    if (isRefused) return;
    const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    held = undefined;
    let [from, at] = [0, 0];
    while (at < bytes.length) {
      const opaque = Math.min(opaqueBytes, bytes.length - at);
      at += opaque;
      opaqueBytes -= opaque;
      const left = bytes.length - at;
      if (left === 0) break;
      if (pushed !== undefined && left >= HEAD_BYTES && isEven(bytes.readUInt32BE(at + 5))) {
        isRefused = true;
        if (at > from) pass(bytes.subarray(from, at));
        return pushed();
      }
      const frameBytes = left < HEAD_BYTES ? Infinity : HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (left >= HEAD_BYTES && !isSettings(bytes, at, frameBytes)) {
        at += HEAD_BYTES;
        opaqueBytes = frameBytes - HEAD_BYTES;
        continue;
      }
      if (left < frameBytes) {
        held = bytes.subarray(at);
        break;
      }
      const widened = initialWindow(bytes.subarray(at + HEAD_BYTES, at + frameBytes)) ?? initial;
      if (widened > initial) {
        // First what came before, which may open a stream.
        if (at > from) pass(bytes.subarray(from, at));
        from = at;
        for (const id of openStreams()) pass(windowUpdate(id, widened - initial));
      }
      initial = widened;
      at += frameBytes;
    }
    if (at > from) pass(bytes.subarray(from, at));
  };
}

/** 0 is the connection; the highest bit means nothing. */
function isEven(streamId: number): boolean {
  return (streamId & 1) === 0 && (streamId & 0x7fffffff) !== 0;
}

function isSettings(bytes: Buffer, at: number, frameBytes: number): boolean {
  const isPlain = ((bytes[at + 4] ?? 0) & ACK) === 0;
  return bytes[at + 3] === SETTINGS && isPlain && frameBytes <= HEAD_BYTES + SETTINGS_BYTES_MAX;
}

function initialWindow(payload: Buffer): number | undefined {
  let value: number | undefined;
  for (let at = 0; at + 6 <= payload.length; at += 6) {
    if (payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE) value = payload.readUInt32BE(at + 2);
  }
  return value;
}

function windowUpdate(streamId: number, increment: number): Buffer {
  const frame = Buffer.alloc(HEAD_BYTES + 4);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = WINDOW_UPDATE;
  frame.writeUInt32BE(streamId, 5);
  frame.writeUInt32BE(increment, HEAD_BYTES);
  return frame;
}
