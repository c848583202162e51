/** A long answer that goes out as fast as its client takes it, and no longer than it is wanted. */

export interface PieceStreamOptions {
  /** How long the client may take nothing, and how long all of it may take. */
  stallMs: number;
  totalMs: number;
  /** Called whenever the client is seen to read. */
  alive: () => void;
  /** Called once, when the stream is over. */
  ended: (end: StreamEnd) => void;
}

/** How it ended. The client's doing is told as a reason. */
export type StreamEnd = { isWhole: boolean; reason?: string; error?: unknown };

/**
 * Makes a stream of pieces, each made when the one before is taken.
 *
 * What goes wrong breaks the connection off, so that nobody takes half an answer for a whole one.
 */
export function createPieceStream(
  pieces: AsyncGenerator<Uint8Array>,
  { stallMs, totalMs, alive, ended }: PieceStreamOptions,
): ReadableStream<Uint8Array> {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isOver = false;
  const finish = (end: StreamEnd) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(stall);
    clearTimeout(total);
    // It may still be waiting for its next piece, and ends behind that.
    pieces.return(undefined).catch(() => {});
    ended(end);
  };
  const fail = (end: { reason: string } | { error: unknown }) => {
    if (isOver) return;
    finish({ isWhole: false, ...end });
    // Bun writes an error that it is given here to stderr.
    controller?.error(undefined);
  };
  const startStall = () => {
    return setTimeout(() => fail({ reason: `the client took nothing for ${stallMs} ms` }), stallMs);
  };
  let stall = startStall();
  const total = setTimeout(() => fail({ reason: `it took more than ${totalMs} ms` }), totalMs);
  return new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    async pull(controller) {
      alive();
      clearTimeout(stall);
      try {
        const next = await pieces.next();
        if (isOver) return;
        if (next.done) {
          finish({ isWhole: true });
          controller.close();
          return;
        }
        controller.enqueue(next.value);
        stall = startStall();
      } catch (error) {
        fail({ error });
      }
    },
    cancel: () => fail({ reason: "the client has gone away" }),
  }, { highWaterMark: 0 });
}
