/**
 * Reads the header blocks of a server's connection, and the same block only once.
 *
 * Clients send one block for call after call. It means the same as before until some block changes the table that they refer to.
 */

import { createBlockDecoder } from "./hpack.ts";
import { type Headers, readRequest } from "./fields.ts";

export interface RequestReader {
  /** Throws for this stream where the request is malformed, and for the connection where its block is. */
  read(block: Buffer, streamId: number): Headers;
  /** Reads a block of which nobody wants anything, as the next one depends on it. */
  skip(block: Buffer): void;
}

/** A call with a token has some 800 bytes, if its client keeps nothing in the table. */
const KNOWN_BYTES_MAX = 1_024;
/** A client has one block for each method, and now and then another token. */
const KNOWN_MAX = 8;

/** Makes a reader. It must get each block of the connection, in order. */
export function createRequestReader(headerBytesMax: number): RequestReader {
  const decodeBlock = createBlockDecoder();
  const known = new Map<string, Headers>();
  let hasChanged = false;
  const decode = (block: Buffer, take: (name: string, value: string) => void) => {
    hasChanged = decodeBlock(block, take);
    if (hasChanged) known.clear();
    return hasChanged;
  };
  return {
    read(block, streamId) {
      const isShort = block.length <= KNOWN_BYTES_MAX;
      const key = isShort ? block.toString("latin1") : "";
      const before = known.get(key);
      if (before !== undefined) return before;
      const headers = readRequest(decode, block, { streamId, headerBytesMax });
      if (hasChanged || !isShort) return headers;
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(key, headers);
      return headers;
    },
    skip(block) {
      decode(block, () => {});
    },
  };
}
