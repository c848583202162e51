/** A header block from its HEADERS frame and the CONTINUATION frames after it (RFC 9113 §4.3 and §6.10). */

import { CODE, FLAG, Http2Error, withoutPadding } from "./frames.ts";

/** Puts blocks together, one at a time. */
export interface BlockAssembly {
  /** While it is, nothing but a CONTINUATION may come. */
  readonly isOpen: boolean;
  begin(flags: number, streamId: number, body: Buffer): void;
  goOn(flags: number, streamId: number, body: Buffer): void;
}

/** A dependency and a weight, of which nobody takes notice any more (§5.3.2). */
const PRIORITY_BYTES = 5;
/** As many as the largest block needs, and some more; each of them could be empty. */
const FRAMES_MAX = 16;

/** `take` gets each block that is complete. One of more than `bytesMax` ends the connection. */
export function createBlockAssembly(
  take: (streamId: number, block: Buffer, isEnd: boolean) => void,
  bytesMax: number,
): BlockAssembly {
  let streamId: number | undefined;
  let isEnd = false;
  let parts: Buffer[] = [];
  let size = 0;

  const add = (flags: number, part: Buffer) => {
    size += part.length;
    parts.push(part);
    if (size > bytesMax || parts.length > FRAMES_MAX) {
      throw new Http2Error(CODE.enhanceYourCalm, "a header block is too large");
    }
    if ((flags & FLAG.endHeaders) === 0) return;
    const [id, block] = [streamId ?? 0, parts.length === 1 ? part : Buffer.concat(parts)];
    [streamId, parts, size] = [undefined, [], 0];
    take(id, block, isEnd);
  };

  return {
    get isOpen() {
      return streamId !== undefined;
    },
    begin(flags, id, body) {
      const prefixBytes = (flags & FLAG.priority) === 0 ? 0 : PRIORITY_BYTES;
      const block = withoutPadding(flags, body, prefixBytes);
      streamId = id;
      isEnd = (flags & FLAG.endStream) !== 0;
      add(flags, block);
    },
    goOn(flags, id, body) {
      if (id !== streamId) {
        throw new Http2Error(CODE.protocolError, "a header block goes on in another stream");
      }
      add(flags, body);
    },
  };
}
