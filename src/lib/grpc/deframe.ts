/** Takes messages out of the pieces of a stream: each has a flag, its length, and so many bytes. */

import { gunzipSync } from "node:zlib";
import { GrpcError, STATUS } from "./errors.ts";
import { MESSAGE_HEAD_BYTES as HEAD_BYTES } from "./message_head.ts";

export interface Deframer {
  push(piece: Uint8Array): void;
  /** The next message that is complete. Throws a `GrpcError` if it is none that we take. */
  next(encoding: string | undefined): Uint8Array | undefined;
}

const NOTHING = new Uint8Array();

/** Makes one that takes messages of at most so many bytes. */
export function createDeframer(bytesMax: number): Deframer {
  let pieces: Uint8Array[] = [];
  let size = 0;

  /** The pieces as one, only when that is of use: a large message comes in hundreds. */
  const joined = (): Uint8Array => {
    if (pieces.length !== 1) pieces = [Buffer.concat(pieces)];
    return pieces[0] ?? NOTHING;
  };

  return {
    push(piece) {
      pieces.push(piece);
      size += piece.length;
    },
    next(encoding) {
      if (size < HEAD_BYTES) return undefined;
      const first = pieces[0] ?? NOTHING;
      const head = first.length < HEAD_BYTES ? joined() : first;
      const length = new DataView(head.buffer, head.byteOffset, HEAD_BYTES).getUint32(1);
      if (length > bytesMax) throw tooLarge(length, bytesMax);
      const end = HEAD_BYTES + length;
      if (size < end) return undefined;
      const bytes = joined();
      size -= end;
      pieces = size === 0 ? [] : [bytes.subarray(end)];
      const message = bytes.subarray(HEAD_BYTES, end);
      return bytes[0] === 0 ? message : unpack(message, encoding, bytesMax);
    },
  };
}

function unpack(
  message: Uint8Array,
  encoding: string | undefined,
  bytesMax: number,
): Uint8Array {
  if (encoding !== "gzip") {
    const details = `Received message compressed with "${encoding ?? "identity"}"`;
    throw new GrpcError(STATUS.internal, details);
  }
  try {
    return gunzipSync(message, { maxOutputLength: bytesMax });
  } catch {
    const details = `Received message that is not gzip of at most ${bytesMax} bytes`;
    throw new GrpcError(STATUS.resourceExhausted, details);
  }
}

function tooLarge(length: number, bytesMax: number): GrpcError {
  const details = `Received message larger than max (${length} vs ${bytesMax})`;
  return new GrpcError(STATUS.resourceExhausted, details);
}
