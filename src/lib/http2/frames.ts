/** The frames of HTTP/2 (RFC 9113 §4 and §6), taken apart and made. */

/** What a client sends first (§3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The types of §6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = {
  ack: 0x1,
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

/** The error codes of §7. */
export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
} as const;

/** A fault of the peer: of one stream, or of the whole connection where `streamId` is 0 (§5.4). */
export class Http2Error extends Error {
  override readonly name = "Http2Error";

  constructor(readonly code: number, message: string, readonly streamId = 0) {
    super(message);
  }
}

export const HEAD_BYTES = 9;
/** What everybody takes and what we take: SETTINGS_MAX_FRAME_SIZE by default (§4.2). */
export const BODY_BYTES_MAX = 16_384;
/** What is told of a peer's words when it goes. */
const GOODBYE_LENGTH_MAX = 200;
/** The windows of a stream and of a connection, until somebody says otherwise (§6.9.2). */
export const INITIAL_WINDOW_BYTES = 65_535;
/** Ids have 31 bits, and so have windows (§6.9.1). */
export const UINT31_MAX = 2 ** 31 - 1;

/** Takes one frame. `body` may be a part of a larger buffer, and is nobody else's. */
export type TakeFrame = (type: number, flags: number, streamId: number, body: Buffer) => void;

/**
 * Makes a reader of the pieces of a connection, of any size. A frame that lies whole in a piece is not copied. Throws
 * `Http2Error` for a frame that is too large, and before any frame for a wrong preface.
 */
export function createFrameReader(
  take: TakeFrame,
  { preface }: { readonly preface: Buffer | undefined },
): (piece: Buffer) => void {
  let prefaceAt = preface === undefined ? 0 : -preface.length;
  // A frame in several pieces: its head, then all of it.
  const head = Buffer.alloc(HEAD_BYTES);
  let headBytes = 0;
  let body: Buffer | undefined;
  let bodyBytes = 0;
  let isBegun = false;

  const skipPreface = (piece: Buffer): number => {
    if (preface === undefined) return 0;
    let at = 0;
    for (; prefaceAt < 0 && at < piece.length; at++, prefaceAt++) {
      if (piece[at] !== preface[preface.length + prefaceAt]) throw notHttp2();
    }
    return at;
  };
  const bodyLength = (bytes: Buffer, at: number): number => {
    const length = bytes.readUIntBE(at, 3);
    // Texts of other protocols are taken for the lengths of very large frames.
    if (length > BODY_BYTES_MAX && !isBegun) throw notHttp2();
    if (length > BODY_BYTES_MAX) {
      throw new Http2Error(CODE.frameSizeError, `a frame of ${length} bytes is too large`);
    }
    isBegun = true;
    return length;
  };
  /** Goes on with the frame that is held; returns where the piece goes on. */
  const complete = (piece: Buffer, from: number): number => {
    let at = from;
    if (body === undefined) {
      const count = piece.copy(head, headBytes, at, at + HEAD_BYTES - headBytes);
      headBytes += count;
      at += count;
      if (headBytes < HEAD_BYTES) return at;
      body = Buffer.allocUnsafe(bodyLength(head, 0));
    }
    const count = piece.copy(body, bodyBytes, at, at + body.length - bodyBytes);
    bodyBytes += count;
    at += count;
    if (bodyBytes < body.length) return at;
    const whole = body;
    [headBytes, bodyBytes, body] = [0, 0, undefined];
    take(head[3] ?? 0, head[4] ?? 0, head.readUInt32BE(5) & UINT31_MAX, whole);
    return at;
  };

  return (piece) => {
    let at = prefaceAt < 0 ? skipPreface(piece) : 0;
    while (at < piece.length) {
      if (headBytes === 0 && piece.length - at >= HEAD_BYTES) {
        const from = at + HEAD_BYTES;
        const end = from + bodyLength(piece, at);
        if (end <= piece.length) {
          const streamId = piece.readUInt32BE(at + 5) & UINT31_MAX;
          take(piece[at + 3] ?? 0, piece[at + 4] ?? 0, streamId, piece.subarray(from, end));
          at = end;
          continue;
        }
      }
      at = complete(piece, at);
    }
  };
}

function notHttp2(): Http2Error {
  return new Http2Error(CODE.protocolError, "the peer does not speak HTTP/2");
}

/** Writes the head of a frame; returns where its body begins. */
export function writeHead(
  target: Buffer,
  at: number,
  [length, type, flags, streamId]: [number, number, number, number],
): number {
  target.writeUInt32BE((length << 8) | type, at);
  target[at + 4] = flags;
  target.writeUInt32BE(streamId, at + 5);
  return at + HEAD_BYTES;
}

/** Makes a frame. */
export function frame(type: number, flags: number, streamId: number, body?: Uint8Array): Buffer {
  const length = body?.length ?? 0;
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + length);
  const from = writeHead(bytes, 0, [length, type, flags, streamId]);
  if (body !== undefined) bytes.set(body, from);
  return bytes;
}

/** Makes a HEADERS frame of a header block, and CONTINUATION frames where it is too long for one (§6.10). */
export function headersFrames(streamId: number, block: Buffer, flags: number): Buffer {
  if (block.length <= BODY_BYTES_MAX) {
    return frame(FRAME.headers, flags | FLAG.endHeaders, streamId, block);
  }
  const frames = [frame(FRAME.headers, flags, streamId, block.subarray(0, BODY_BYTES_MAX))];
  for (let at = BODY_BYTES_MAX; at < block.length; at += BODY_BYTES_MAX) {
    const end = at + BODY_BYTES_MAX;
    const lastFlag = end >= block.length ? FLAG.endHeaders : 0;
    frames.push(frame(FRAME.continuation, lastFlag, streamId, block.subarray(at, end)));
  }
  return Buffer.concat(frames);
}

/** Makes a WINDOW_UPDATE frame (§6.9). */
export function windowUpdate(streamId: number, increment: number): Buffer {
  return frameOfNumber(FRAME.windowUpdate, streamId, increment);
}

/** Makes a RST_STREAM frame (§6.4). */
export function rstStream(streamId: number, code: number): Buffer {
  return frameOfNumber(FRAME.rstStream, streamId, code);
}

function frameOfNumber(type: number, streamId: number, number: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + 4);
  bytes.writeUInt32BE(number, writeHead(bytes, 0, [4, type, 0, streamId]));
  return bytes;
}

/** Makes a GOAWAY frame (§6.8). */
export function goaway(lastStreamId: number, code: number, words: string): Buffer {
  const body = Buffer.allocUnsafe(8 + Buffer.byteLength(words));
  body.writeUInt32BE(lastStreamId, 0);
  body.writeUInt32BE(code, 4);
  body.write(words, 8);
  return frame(FRAME.goaway, 0, 0, body);
}

/** Reads the body of one. Its words go into logs. */
export function readGoaway(body: Buffer): { lastId: number; code: number; words: string } {
  const words = body.toString("latin1", 8, 8 + GOODBYE_LENGTH_MAX).replace(/[^ -~]/g, "?");
  return { lastId: body.readUInt32BE(0) & UINT31_MAX, code: body.readUInt32BE(4), words };
}

/** What is between the padding and the priority of a DATA or HEADERS frame (§6.1, §6.2). */
export function withoutPadding(flags: number, body: Buffer, prefixBytes = 0): Buffer {
  const isPadded = (flags & FLAG.padded) !== 0;
  const padding = isPadded ? body[0] ?? 0 : 0;
  const from = (isPadded ? 1 : 0) + prefixBytes;
  if (from > body.length) throw new Http2Error(CODE.frameSizeError, "a frame is cut off");
  if (from + padding > body.length) {
    throw new Http2Error(CODE.protocolError, "a frame has more padding than it is long");
  }
  return from + padding === 0 ? body : body.subarray(from, body.length - padding);
}
