/** A connection of HTTP/2 and the socket that carries it. */

import type { Socket } from "node:net";
import type { Http2Connection, Transport } from "./connection.ts";

/** For the last bytes to leave, and the peer to notice; a close before it has read them would drop them. */
const PARTING_MS = 1_000;

/**
 * Opens a connection over a socket; `failed` hears what happens below HTTP/2. Nothing is written before `opening`, an event of a
 * socket that is not open yet: with TLS the other end is not known before.
 */
export function carry<C extends Http2Connection>(
  socket: Socket,
  open: (transport: Transport) => C,
  { failed, opening }: { failed(error: Error): void; opening?: string | undefined },
): C {
  const isEager = true;
  socket.setNoDelay(isEager);
  let isOpen = opening === undefined;
  const early: Uint8Array[] = [];
  const connection = open({
    write(bytes) {
      if (isOpen) return socket.write(bytes);
      early.push(bytes);
      return false;
    },
    end() {
      if (!isOpen) return void socket.destroy();
      socket.end();
      const parting = setTimeout(() => socket.destroy(), PARTING_MS);
      socket.once("close", () => clearTimeout(parting));
    },
  });
  if (opening !== undefined) {
    socket.once(opening, () => {
      isOpen = true;
      for (const bytes of early.splice(0)) socket.write(bytes);
      connection.drained();
    });
  }
  socket.on("data", connection.received);
  socket.on("drain", connection.drained);
  socket.on("error", failed);
  socket.once("close", connection.lost);
  return connection;
}
