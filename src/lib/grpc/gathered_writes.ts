/**
 * What a connection has to say in one turn of the event loop leaves in one write.
 *
 * Bun's sessions write headers, each message and trailers one by one, and each write is a call of the system. The answers
 * of a batch, and the events that are handed out together, are due in the same turn.
 */

import type { Server, Socket } from "node:net";

/** Lets the sockets of a server hold back what is written until the turn ends. */
export function gatherWrites(server: Server, event: "connection" | "secureConnection"): void {
  server.prependListener(event, gatherSocketWrites);
}

/** The same for one socket. */
export function gatherSocketWrites(socket: Socket): void {
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean;
  let isGathering = false;
  const leave = () => {
    isGathering = false;
    socket.uncork();
  };
  socket.write = (...given: unknown[]) => {
    if (!isGathering) {
      isGathering = true;
      socket.cork();
      // As many as there are answers in this turn: promises and ticks come before it, reading from sockets after it.
      setImmediate(leave);
    }
    return write(...given);
  };
}
