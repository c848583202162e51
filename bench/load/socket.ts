/** A bare TCP connection of a load generator: what is written in one turn of the event loop leaves together. */

export interface LoadSocket {
  write(bytes: Uint8Array): void;
  close(): void;
}

/** Connects to a server on this machine. */
export async function openLoadSocket(
  port: number,
  on: { received: (piece: Buffer) => void; closed: () => void },
): Promise<LoadSocket> {
  let waiting: Uint8Array[] = [];
  let rest: Uint8Array = new Uint8Array();
  let isScheduled = false;
  let isFull = false;
  const flush = () => {
    isScheduled = false;
    if (isFull) return;
    const bytes = rest.length === 0 && waiting.length === 1
      ? waiting[0] as Uint8Array
      : Buffer.concat([rest, ...waiting]);
    waiting = [];
    rest = bytes.subarray(Math.max(socket.write(bytes), 0));
    isFull = rest.length > 0;
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, piece) => on.received(piece),
      drain() {
        isFull = false;
        flush();
      },
      close: on.closed,
      error: on.closed,
    },
  });
  const isEager = true;
  socket.setNoDelay(isEager);
  return {
    write(bytes) {
      waiting.push(bytes);
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(flush);
    },
    close: () => socket.end(),
  };
}
