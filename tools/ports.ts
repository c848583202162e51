/** TCP ports of this machine's own address. */

import { connect } from "node:net";

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop();
  return port;
}

/** Whether somebody listens on it. */
export function accepts(port: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.once("connect", () => {
    socket.destroy();
    resolve();
  });
  socket.once("error", reject);
  return promise.then(() => true, () => false);
}
