/** The frames of HTTP/2 (RFC 9113 §4.1), made and taken apart. */

/** What a client sends first. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Types and flags, and the length of what is before each body. */
export const FRAME = {
  HEAD_BYTES: 9,
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  ACK: 1,
  END_STREAM: 1,
  END_HEADERS: 4,
} as const;

/** Takes a frame apart from others. */
export type TakeFrame = (type: number, flags: number, streamId: number, body: Buffer) => void;

/** Makes a frame. */
export function frame(type: number, flags: number, streamId: number, body?: Uint8Array): Buffer {
  const size = body?.length ?? 0;
  const bytes = Buffer.allocUnsafe(FRAME.HEAD_BYTES + size);
  bytes.writeUIntBE(size, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  if (body !== undefined) bytes.set(body, FRAME.HEAD_BYTES);
  return bytes;
}

/** Makes a WINDOW_UPDATE: so many bytes more may be sent. */
export function windowUpdate(streamId: number, size: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(size);
  return frame(FRAME.WINDOW_UPDATE, 0, streamId, body);
}

/** A header that no table has, as it is. */
export function plainHeader(name: string, value: string): Buffer {
  return Buffer.from(
    `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`,
    "latin1",
  );
}

/** Returns a function that takes the pieces of a connection. */
export function createFrameReader(take: TakeFrame): (piece: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (piece) => {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    while (bytes.length - at >= FRAME.HEAD_BYTES) {
      const bodyAt = at + FRAME.HEAD_BYTES;
      const end = bodyAt + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const [type = 0, flags = 0] = [bytes[at + 3], bytes[at + 4]];
      take(type, flags, bytes.readUInt32BE(at + 5), bytes.subarray(bodyAt, end));
      at = end;
    }
    rest = bytes.subarray(at);
  };
}
