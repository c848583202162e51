/** What can be said against a frame without knowing its connection (RFC 9113 §6). */

import { CODE, FLAG, FRAME, Http2Error } from "./frames.ts";

/** How long a frame of such a type must be. */
const LENGTHS: Record<number, number | undefined> = {
  [FRAME.priority]: 5,
  [FRAME.rstStream]: 4,
  [FRAME.ping]: 8,
  [FRAME.windowUpdate]: 4,
};
const GOAWAY_BYTES_MIN = 8;

/** Throws for a frame that has a wrong length, or belongs to a stream where it must not, or to none where it must. */
export function checkFrame(type: number, flags: number, streamId: number, body: Buffer): void {
  switch (type) {
    case FRAME.settings:
    case FRAME.ping:
    case FRAME.goaway:
      if (streamId !== 0) throw protocolError("a stream where none belongs");
      break;
    case FRAME.data:
    case FRAME.headers:
    case FRAME.priority:
    case FRAME.rstStream:
    case FRAME.continuation:
      if (streamId === 0) throw protocolError("a frame without its stream");
      break;
    case FRAME.pushPromise:
      throw protocolError("nobody may push");
  }
  const length = LENGTHS[type];
  const isAcknowledgement = type === FRAME.settings && (flags & FLAG.ack) !== 0;
  const isWrong = length !== undefined && body.length !== length ||
    (isAcknowledgement && body.length > 0) ||
    (type === FRAME.goaway && body.length < GOAWAY_BYTES_MIN);
  if (!isWrong) return;
  // Of its stream alone (§6.3).
  const owner = type === FRAME.priority ? streamId : 0;
  throw new Http2Error(CODE.frameSizeError, `a frame of type ${type} has a wrong length`, owner);
}

/** A fault that ends a connection. */
export function protocolError(message: string): Http2Error {
  return new Http2Error(CODE.protocolError, message);
}
