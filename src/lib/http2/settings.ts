/** The SETTINGS frame (RFC 9113 §6.5). */

import { CODE, FRAME, frame, Http2Error, UINT31_MAX } from "./frames.ts";

const HEADER_TABLE_SIZE = 1;
const ENABLE_PUSH = 2;
const MAX_CONCURRENT_STREAMS = 3;
const INITIAL_WINDOW_SIZE = 4;
const MAX_FRAME_SIZE = 5;
const MAX_HEADER_LIST_SIZE = 6;
const ENTRY_BYTES = 6;
const FRAME_SIZE_MIN = 16_384;
const FRAME_SIZE_MAX = 2 ** 24 - 1;

/** What a peer says of itself; what it does not say stays as it was. */
export interface PeerSettings {
  headerTableBytes?: number;
  /** Streams that we may have open at once. */
  streamsMax?: number;
  initialWindow?: number;
  /** By the count of §6.5.2. */
  headerBytesMax?: number;
}

/** Says what we take: bytes of a stream on the way, and bytes of headers; and, as a client, that we take no push. */
export function settingsFrame(
  { windowBytes, headerBytesMax }: { windowBytes: number; headerBytesMax: number },
  { isClient }: { isClient: boolean },
): Buffer {
  const entries = [[INITIAL_WINDOW_SIZE, windowBytes], [MAX_HEADER_LIST_SIZE, headerBytesMax]];
  if (isClient) entries.push([ENABLE_PUSH, 0]);
  const body = Buffer.allocUnsafe(entries.length * ENTRY_BYTES);
  for (const [index, [key = 0, value = 0]] of entries.entries()) {
    body.writeUInt16BE(key, index * ENTRY_BYTES);
    body.writeUInt32BE(value, index * ENTRY_BYTES + 2);
  }
  return frame(FRAME.settings, 0, 0, body);
}

/** Reads what a peer says. Its size of frames is only checked: ours have the size that everybody takes. */
export function readSettings(body: Buffer, { isClient }: { isClient: boolean }): PeerSettings {
  if (body.length % ENTRY_BYTES !== 0) {
    throw new Http2Error(CODE.frameSizeError, "the settings are cut off");
  }
  const settings: PeerSettings = {};
  for (let at = 0; at < body.length; at += ENTRY_BYTES) {
    const value = body.readUInt32BE(at + 2);
    switch (body.readUInt16BE(at)) {
      case HEADER_TABLE_SIZE:
        settings.headerTableBytes = value;
        break;
      case ENABLE_PUSH:
        // Whoever serves has nothing to allow.
        if (value <= (isClient ? 0 : 1)) break;
        throw new Http2Error(CODE.protocolError, `ENABLE_PUSH cannot be ${value} here`);
      case MAX_CONCURRENT_STREAMS:
        settings.streamsMax = value;
        break;
      case INITIAL_WINDOW_SIZE:
        if (value > UINT31_MAX) {
          throw new Http2Error(CODE.flowControlError, "the initial window is too large");
        }
        settings.initialWindow = value;
        break;
      case MAX_FRAME_SIZE:
        if (value < FRAME_SIZE_MIN || value > FRAME_SIZE_MAX) {
          throw new Http2Error(CODE.protocolError, `frames of ${value} bytes cannot be`);
        }
        break;
      case MAX_HEADER_LIST_SIZE:
        settings.headerBytesMax = value;
    }
  }
  return settings;
}
