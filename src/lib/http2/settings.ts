/** The SETTINGS frame (RFC 9113 §6.5). */

import { CODE, FRAME, frame, Http2Error, UINT31_MAX } from "./frames.ts";

const ENABLE_PUSH = 2;
const INITIAL_WINDOW_SIZE = 4;
const MAX_FRAME_SIZE = 5;
const MAX_HEADER_LIST_SIZE = 6;
const ENTRY_BYTES = 6;
const FRAME_SIZE_MIN = 16_384;
const FRAME_SIZE_MAX = 2 ** 24 - 1;

/** Says what we take: bytes of a stream on the way, and bytes of headers. */
export function settingsFrame(
  { windowBytes, headerBytesMax }: { windowBytes: number; headerBytesMax: number },
): Buffer {
  const body = Buffer.allocUnsafe(2 * ENTRY_BYTES);
  body.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
  body.writeUInt32BE(windowBytes, 2);
  body.writeUInt16BE(MAX_HEADER_LIST_SIZE, ENTRY_BYTES);
  body.writeUInt32BE(headerBytesMax, ENTRY_BYTES + 2);
  return frame(FRAME.settings, 0, 0, body);
}

/**
 * The new SETTINGS_INITIAL_WINDOW_SIZE of a peer, if it says one. The rest is only checked: our frames have the size that
 * everybody takes, our headers keep nothing, and a server pushes nothing.
 */
export function readInitialWindow(body: Buffer): number | undefined {
  if (body.length % ENTRY_BYTES !== 0) {
    throw new Http2Error(CODE.frameSizeError, "the settings are cut off");
  }
  let initialWindow: number | undefined;
  for (let at = 0; at < body.length; at += ENTRY_BYTES) {
    const value = body.readUInt32BE(at + 2);
    switch (body.readUInt16BE(at)) {
      case INITIAL_WINDOW_SIZE:
        if (value > UINT31_MAX) {
          throw new Http2Error(CODE.flowControlError, "the initial window is too large");
        }
        initialWindow = value;
        break;
      case MAX_FRAME_SIZE:
        if (value < FRAME_SIZE_MIN || value > FRAME_SIZE_MAX) {
          throw new Http2Error(CODE.protocolError, `frames of ${value} bytes cannot be`);
        }
        break;
      case ENABLE_PUSH:
        if (value > 1) throw new Http2Error(CODE.protocolError, "ENABLE_PUSH is 0 or 1");
    }
  }
  return initialWindow;
}
