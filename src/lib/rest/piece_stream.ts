/** A long answer that goes out as fast as its client takes it, and no longer than it is wanted. */

export interface PieceStreamOptions {
  /** How long the client may take nothing, and how long all of it may take. */
  stallMs: number;
  totalMs: number;
  /** Aborted when the client goes away, which it may do before it has read anything. */
  signal: AbortSignal;
  /** Called whenever the client is seen to read. */
  alive: () => void;
  /** Called once, when the stream is over; with what went wrong, if something did. */
  ended: (error?: unknown) => void;
}

/**
 * Makes a stream of pieces, each made when the one before is taken.
 *
 * What goes wrong breaks the connection off, so that nobody takes half an answer for a whole one.
 */
export function createPieceStream(
  pieces: AsyncGenerator<Uint8Array>,
  { stallMs, totalMs, signal, alive, ended }: PieceStreamOptions,
): ReadableStream<Uint8Array> {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isOver = false;
  const finish = (error?: unknown) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(stall);
    clearTimeout(total);
    signal.removeEventListener("abort", leave);
    // It may still be waiting for its next piece, and ends behind that.
    pieces.return(undefined).catch(() => {});
    ended(error);
  };
  const fail = (error: unknown) => {
    if (isOver) return;
    finish(error);
    // Bun writes an error that it is given here to stderr.
    controller?.error(undefined);
  };
  const leave = () => fail(new Error("the client has gone away"));
  const startStall = () => {
    return setTimeout(() => fail(new Error(`the client took nothing for ${stallMs} ms`)), stallMs);
  };
  let stall = startStall();
  const total = setTimeout(() => fail(new Error(`it took more than ${totalMs} ms`)), totalMs);
  signal.addEventListener("abort", leave);
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    async pull(controller) {
      alive();
      clearTimeout(stall);
      try {
        const next = await pieces.next();
        if (isOver) return;
        if (next.done) {
          finish();
          controller.close();
          return;
        }
        controller.enqueue(next.value);
        stall = startStall();
      } catch (error) {
        fail(error);
      }
    },
    cancel: leave,
  }, { highWaterMark: 0 });
  if (signal.aborted) leave();
  return stream;
}
